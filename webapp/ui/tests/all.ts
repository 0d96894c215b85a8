import "./cloud.test";
import "./framing.test";
