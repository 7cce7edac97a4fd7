// Uses the page of a server of two models, flowers and pictures, as a person does, and prints what is wrong with it.
//   node tests/serving/browser.js ADDRESS KEY IMAGE
// With SCREENSHOTS=FOLDER it leaves there what it saw.
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
const OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const STATUS = "Failed to load resource: the server responded with a status of 4";
const [address, key, image] = process.argv.slice(2);
const problems = [];

async function barsFill(tab) {
  const shares = await tab.$$eval(".bar", (bars) => bars.map((bar) => bar.querySelector(".fill").offsetWidth / bar.querySelector(".track").offsetWidth));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.length && Math.abs(total - 1) < 0.15 ? [] : [`bars fill ${shares}`];
}

async function looked(tab, view, name) {
  if (process.env.SCREENSHOTS) await tab.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}-${view}.png`), fullPage: true });
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => axe.run(document));
  const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  const beyond = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  problems.push(...[...found, ...(beyond ? [`${beyond} pixels too wide`] : [])].map((each) => `${name} at ${view}: ${each}`));
}

const steps = {
  async key(tab) {
    for (const given of ["wrong", key]) {
      await tab.waitForSelector("#key:not([hidden])");
      await tab.fill("#secret", given);
      await tab.click("#key button");
      if (given === "wrong") await tab.waitForSelector("#error:not(:empty)");
    }
    await tab.waitForSelector("#fields label");
    if (await tab.textContent("#error")) problems.push("a key that fits is complained of");
  },
  async row(tab) {
    const values = { place: "north", colour: "red", seen: "2026-01-31", size: "1.5", age: "3" };
    for (const [name, value] of Object.entries(values)) await tab.fill(`[name=${name}]`, value);
    await tab.selectOption("[name=wild]", "true");
    await tab.click("text=Predict");
    await tab.waitForSelector("article .bar");
    problems.push(...(await barsFill(tab)));
  },
  async explanation(tab) {
    await tab.click("text=Explain");
    await tab.waitForSelector("article details", { timeout: 60000 });
    const sizes = await tab.$$eval("article figure img", (images) => images.map((each) => each.decode().then(() => each.naturalWidth)));
    problems.push(...sizes.filter((size) => !size).map(() => "a figure is not shown"));
  },
  async wrong(tab) {
    await tab.fill("[name=age]", "old");
    await tab.click("text=Predict");
    await tab.waitForSelector("[name=age][aria-invalid=true]");
    const text = await tab.textContent("#error");
    if (!text.startsWith("age: ")) problems.push(`a wrong value is called ${text}`);
  },
  async image(tab) {
    await tab.selectOption("#models", "pictures");
    await tab.setInputFiles("#files", image);
    await tab.waitForSelector("article > img");
    problems.push(...(await barsFill(tab)));
  },
};

async function main() {
  const places = process.env.PATH.split(path.delimiter).flatMap((folder) => PROGRAMS.map((name) => path.join(folder, name)));
  const browser = await chromium.launch({ executablePath: places.find(fs.existsSync), args: OPTIONS });
  for (const width of [375, 1280]) {
    for (const colorScheme of ["light", "dark"]) {
      const view = `${width}-${colorScheme}`;
      // The policy of the page forbids axe, too; another view has the policy.
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, bypassCSP: width < 1000 });
      const tab = await context.newPage();
      tab.on("console", (message) => message.text().startsWith(STATUS) || problems.push(`says ${message.text()}`));
      tab.on("pageerror", (error) => problems.push(`fails: ${error}`));
      tab.on("request", (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(address) || problems.push(`asks for ${request.url()}`));
      await tab.goto(address);
      for (const [name, step] of Object.entries(steps)) {
        if (name === "explanation" && colorScheme === "dark" && width < 1000) continue;
        await step(tab);
        await looked(tab, view, name);
      }
      await context.close();
    }
  }
  await browser.close();
  console.log([...new Set(problems), `${problems.length} problems`].join("\n"));
}

main();
