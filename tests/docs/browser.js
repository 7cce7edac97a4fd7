// Opens every page of the built site in Chromium, from the disk, at two widths, light and dark; prints what is wrong with
// them, and ends with 1 if anything is. After `make docs`:
//   node tests/docs/browser.js [site]
// With SCREENSHOTS=FOLDER it leaves there what it saw.
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
const OPTIONS = [
  ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ["--disable-component-update", "--disable-sync"],
].flat();

function pagesOf(folder) {
  const entries = fs.readdirSync(folder, { withFileTypes: true });
  return entries.flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return pagesOf(name);
    // A server sends 404.html in place of a page; opened from the disk it finds no style sheet.
    return entry.name.endsWith(".html") && entry.name !== "404.html" ? [name] : [];
  });
}

function layoutProblems() {
  const page = document.documentElement;
  const beyond = page.scrollWidth - page.clientWidth;
  const empty = [...document.images].filter((image) => !image.naturalWidth);
  return [...(beyond > 0 ? [`is ${beyond} pixels too wide`] : []), ...empty.map(({ src }) => `does not show ${src}`)];
}

async function axeProblems(tab) {
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => axe.run(document, { preload: false }));
  return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ html }) => `${id} (${impact}): ${html.slice(0, 160)}`));
}

async function showAllImages(tab) {
  await tab.evaluate(() => Promise.all([...document.images].map((image) => { image.loading = "eager"; return image.decode().catch(() => {}); })));
}

async function problemsOf(browser, site, page, view) {
  const context = await browser.newContext({ viewport: { width: view.width, height: 900 }, colorScheme: view.colorScheme });
  const tab = await context.newPage();
  const problems = [];
  tab.on("console", (message) => problems.push(`says ${message.text()}`));
  tab.on("pageerror", (error) => problems.push(`fails: ${error}`));
  tab.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(site) && !url.startsWith("data:") && url !== "about:blank") problems.push(`asks for ${url}`);
  });
  await tab.goto(pathToFileURL(page).href, { waitUntil: "load" });
  await showAllImages(tab);
  problems.push(...(await tab.evaluate(layoutProblems)), ...(await axeProblems(tab)));
  const background = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  if (process.env.SCREENSHOTS) {
    const name = path.relative(new URL(site).pathname, page).replaceAll("/", "-").replace(".html", "");
    const file = path.join(process.env.SCREENSHOTS, `${name}-${view.width}-${view.colorScheme}.png`);
    await tab.screenshot({ path: file, fullPage: true });
  }
  await context.close();
  return { problems, background };
}

async function searchProblems(browser, site) {
  const tab = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await tab.goto(`${site}index.html`);
  await tab.locator("input[name=query]").click();
  await tab.locator("input[name=query]").pressSequentially("transfer learning");
  const found = tab.locator(".md-search-result__item a").first();
  const address = await found.getAttribute("href", { timeout: 20000 }).catch(() => "");
  await tab.close();
  return /transfer-learning/.test(address) ? [] : [`the search for "transfer learning" finds "${address}"`];
}

async function main(folder) {
  const programs = process.env.PATH.split(path.delimiter).flatMap((place) => PROGRAMS.map((name) => path.join(place, name)));
  const browser = await chromium.launch({ executablePath: programs.find(fs.existsSync), args: OPTIONS });
  const site = `${pathToFileURL(path.resolve(folder)).href}/`;
  const pages = pagesOf(folder).map((page) => path.resolve(page));
  let count = 0;
  const report = (line) => { console.log(line); count += 1; };
  for (const page of pages) {
    const backgrounds = new Set();
    for (const width of [375, 1280]) {
      for (const colorScheme of ["light", "dark"]) {
        const { problems, background } = await problemsOf(browser, site, page, { width, colorScheme });
        backgrounds.add(background);
        for (const problem of problems) report(`${path.relative(folder, page)} at ${width}, ${colorScheme}: ${problem}`);
      }
    }
    if (backgrounds.size < 2) report(`${path.relative(folder, page)} looks the same in light and dark`);
  }
  for (const problem of await searchProblems(browser, site)) report(problem);
  await browser.close();
  console.log(`${pages.length} pages: ${count} problems`);
  process.exitCode = count ? 1 : 0;
}

main(process.argv[2] || "site");
