/* The page of an exported folder: the panel with all its controls, which the address may fill. */

import { mount } from "./panel.js";

document.querySelector("header").append(window.zigdemoLanguage.menu());
await mount(document.getElementById("device"), { address: true });
window.zigdemoLanguage.start();
