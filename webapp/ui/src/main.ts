import "./styles/tokens.css";
import "./styles/base.css";
import { element, fill } from "./element";

const page = document.getElementById("page");
if (page !== null) fill(page, element("h1", {}, "reconflow"));
