import "./archive.test";
import "./cloud.test";
import "./framing.test";
import "./server-sent.test";
