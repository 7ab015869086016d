// Takes the screenshots of docs/: node tests/browser/screenshot.js PAGE OUT light|dark [KEYS]
// With KEYS, the row of that label on the left is picked. The environment is that of `bash tests/picture`.
"use strict";

const path = require("node:path");
const { launch, open } = require("./open.js");

async function main([page, out, colorScheme, picked]) {
  const browser = await launch();
  const { tab } = await open(browser, path.resolve(page), { colorScheme, viewport: { width: 1280, height: 860 } });
  if (picked) await tab.locator("#old .label").getByText(picked, { exact: true }).first().click();
  await tab.mouse.move(0, 0);
  await tab.waitForTimeout(200);
  await tab.screenshot({ path: out });
  await browser.close();
}

main(process.argv.slice(2));
