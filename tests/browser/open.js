// Plans as pages, opened in a browser that has no network.
"use strict";

const { execFileSync } = require("node:child_process");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

// The page of a plan of `name.rules` over a checkpoint, both in a folder.
function draw(folder, name, ...more) {
  const page = `${name}.html`;
  const plan = ["plan", "--rules", `${name}.rules`, `${name}.safetensors`, "--html", page, ...more];
  execFileSync(process.env.MIGRATE_BIN, plan, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  return path.join(folder, page);
}

// Root may start Chromium without its sandbox alone. The pages are this repository's own.
function launch() {
  return chromium.launch({ executablePath: process.env.MIGRATE_CHROMIUM, args: ["--no-sandbox"] });
}

// Opens a page; `wrongs` gathers what a console shows as wrong, and every address that is asked for.
async function open(browser, file, options = {}) {
  const tab = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
  const wrongs = [];
  tab.on("pageerror", (error) => wrongs.push(String(error)));
  tab.on("console", (message) => ["error", "warning"].includes(message.type()) && wrongs.push(message.text()));
  tab.on("dialog", (dialog) => wrongs.push(`dialog: ${dialog.message()}`));
  tab.on("request", (request) => request.url() !== pathToFileURL(file).href && wrongs.push(`asked for ${request.url()}`));
  await tab.goto(pathToFileURL(file).href);
  await tab.waitForSelector("html[data-ready]");
  return { tab, wrongs };
}

module.exports = { draw, launch, open };
