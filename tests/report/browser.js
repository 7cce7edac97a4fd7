// Opens pages in Chromium at two widths, light and dark, and prints what they do as one JSON document.
//   node browser.js CHROMIUM PAGE…
const fs = require("fs");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const OPTIONS = [
  ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ["--disable-component-update", "--disable-sync"],
].flat();

async function opened(browser, page, options, use) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  const said = [];
  const requests = [];
  tab.on("console", (message) => said.push(message.text()));
  tab.on("pageerror", (error) => said.push(String(error)));
  tab.on("request", (request) => requests.push(request.url()));
  await tab.goto(`file://${page}`);
  const found = await use(tab);
  await context.close();
  return { said, requests: requests.filter((url) => !url.startsWith("data:") && url !== `file://${page}`), ...found };
}

async function main([program, ...pages]) {
  const browser = await chromium.launch({ executablePath: program, args: OPTIONS });
  const results = [];
  for (const page of pages) {
    for (const width of [375, 1280]) {
      for (const colorScheme of ["light", "dark"]) {
        const options = { viewport: { width, height: 800 }, colorScheme };
        const seen = await opened(browser, page, options, async (tab) => ({
          beyond: await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
          pictures: await tab.evaluate(() => [...document.images].every((image) => image.naturalWidth > 0)),
          background: await tab.evaluate(() => getComputedStyle(document.body).backgroundColor),
        }));
        // The policy of the page forbids axe, too.
        const { violations } = await opened(browser, page, { ...options, bypassCSP: true }, async (tab) => {
          await tab.evaluate(axe);
          const found = await tab.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
          const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
          return { violations: serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`) };
        });
        results.push({ page, width, colorScheme, ...seen, violations });
      }
    }
  }
  await browser.close();
  console.log(JSON.stringify(results));
}

main(process.argv.slice(2));
