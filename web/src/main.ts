import { mount } from "svelte";

import "./theme/tokens.css";
import "./theme/base.css";
import "./theme/controls.css";
import App from "./App.svelte";

mount(App, { target: document.getElementById("page")! });
