// Opens pages in Chromium at two widths, light and dark, prints what is wrong with them, and ends with 1 if anything is.
//   node tests/report/browser.js runs/*/*/report.html
// With SCREENSHOTS=FOLDER it leaves there what it saw: screenshots of whole pages, and how they print.
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
const LEAST_CONTRAST = 4.5; // WCAG 2.2, 1.4.3, for text of any size

async function inTab(browser, address, options, use) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  const problems = [];
  tab.on("console", (message) => problems.push(`says ${message.text()}`));
  tab.on("pageerror", (error) => problems.push(`fails: ${error}`));
  tab.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith("data:") && url !== address) problems.push(`asks for ${url}`);
  });
  await tab.goto(address);
  problems.push(...(await use(tab)));
  await context.close();
  return problems;
}

function layoutProblems() {
  const page = document.documentElement;
  const beyond = page.scrollWidth - page.clientWidth;
  const empty = [...document.images].filter((image) => !image.naturalWidth);
  return [...(beyond ? [`is ${beyond} pixels too wide`] : []), ...empty.map(({ alt }) => `does not show the image ${alt}`)];
}

async function axeProblems(tab) {
  await tab.evaluate(axe);
  const { violations, incomplete } = await tab.evaluate(() => axe.run(document));
  const found = violations.flatMap(({ id, impact, nodes }) => nodes.map(({ html }) => `${id} (${impact}): ${html}`));
  // What axe leaves open: text in drawings, of one character, and what has to be scrolled to.
  const texts = incomplete.filter(({ id }) => id === "color-contrast").flatMap(({ nodes }) => nodes.map(({ target }) => target[0]));
  const others = incomplete.filter(({ id }) => id !== "color-contrast").map(({ id, nodes }) => `${id}, undecided: ${nodes[0].html}`);
  return [...found, ...others, ...(await tab.evaluate(contrastProblems, { texts, least: LEAST_CONTRAST }))];
}

function contrastProblems({ texts, least }) {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const over = ([red, green, blue, alpha = 1], back) => [red, green, blue].map((each, index) => alpha * each + (1 - alpha) * back[index]);
  const paint = (element) => {
    const style = getComputedStyle(element);
    if (!(element instanceof SVGElement)) return numbers(style.backgroundColor);
    if (!(element instanceof SVGGeometryElement) || style.fill === "none") return [0, 0, 0, 0];
    const [red, green, blue, alpha = 1] = numbers(style.fill);
    return [red, green, blue, alpha * style.fillOpacity * style.opacity];
  };
  return texts.flatMap((target) => {
    const element = document.querySelector(target);
    element.scrollIntoView({ block: "center", inline: "start", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(element);
    const { x, y, width, height } = range.getClientRects()[0];
    const stack = document.elementsFromPoint(x + width / 2, y + height / 2);
    if (!stack.includes(element)) return [`text is hidden: ${element.outerHTML}`];
    const behind = stack.slice(stack.indexOf(element) + (element instanceof SVGElement));
    const back = behind.map(paint).reduceRight((under, colour) => over(colour, under), [255, 255, 255]);
    const style = getComputedStyle(element);
    const front = over(numbers(element instanceof SVGElement ? style.fill : style.color), back);
    const [low, high] = [luminance(front), luminance(back)].sort((one, other) => one - other);
    const contrast = (high + 0.05) / (low + 0.05);
    return contrast < least ? [`contrast ${contrast.toFixed(2)}: ${element.outerHTML}`] : [];
  });
}

async function pictured(tab, address, view) {
  const name = path.join(process.env.SCREENSHOTS, address.split("/").slice(-3).join("-").replace(".html", ""));
  await tab.screenshot({ path: `${name}-${view.width}-${view.colorScheme}.png`, fullPage: true });
  if (view.width > 1000) await tab.pdf({ path: `${name}-${view.colorScheme}.pdf`, format: "A4", margin: { top: "15mm", right: "12mm", bottom: "15mm", left: "12mm" } });
}

async function main(pages) {
  const places = process.env.PATH.split(path.delimiter).flatMap((folder) => PROGRAMS.map((name) => path.join(folder, name)));
  const browser = await chromium.launch({ executablePath: places.find(fs.existsSync), args: OPTIONS });
  let count = 0;
  for (const page of pages) {
    const address = pathToFileURL(page).href;
    const backgrounds = new Set();
    for (const width of [375, 1280]) {
      for (const colorScheme of ["light", "dark"]) {
        const options = { viewport: { width, height: 800 }, colorScheme };
        const problems = await inTab(browser, address, options, async (tab) => {
          backgrounds.add(await tab.evaluate(() => getComputedStyle(document.body).backgroundColor));
          if (process.env.SCREENSHOTS) await pictured(tab, address, { width, colorScheme });
          return tab.evaluate(layoutProblems);
        });
        // The policy of the page forbids axe, too.
        problems.push(...(await inTab(browser, address, { ...options, bypassCSP: true }, axeProblems)));
        for (const problem of problems) console.log(`${page} at ${width}, ${colorScheme}: ${problem}`);
        count += problems.length;
      }
    }
    if (backgrounds.size < 2) console.log(`${page} looks the same in light and dark`);
    count += backgrounds.size < 2;
  }
  await browser.close();
  console.log(`${pages.length} pages: ${count} problems`);
  process.exitCode = count ? 1 : 0;
}

main(process.argv.slice(2));
