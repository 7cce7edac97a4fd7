// Takes the screenshots of reports that the documentation shows, from runs of the tutorials and of configs/.
//   python -m pytest tests/docs/test_pages.py -m slow --basetemp FOLDER   # makes the runs
//   node scripts/gallery.js FOLDER
// Needs Chromium and `npm install --no-save playwright-core`.
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const { chromium } = require("playwright-core");
const DOCS = path.join(__dirname, "..", "docs");
const WIDTH = 900;
const SCREENSHOTS = [ // run, first section, height, file, a file of the page that makes the run
  ["digits/0001", null, 1260, "report.png", "typing.yaml"],
  ["customers/0001", "What to look at", 330, "gallery/table-leakage.png"],
  ["scans/0001", "Results", 1040, "gallery/images-results.png", "make_scans.py"],
  ["sentences/0001", "Learning", 960, "gallery/text-learning.png"],
  ["vowels/0001", "Examples", 620, "gallery/audio-examples.png"],
  ["demand/0001", "Results", 1000, "gallery/series-results.png"],
  ["photos/0001", "Learning", 960, "gallery/transfer-learning.png"],
  ["halves/0001", "Layers", 800, "gallery/graph-layers.png"],
  ["denoising/0001", "Results", 1180, "gallery/denoising-results.png"],
];

// `marker` is a file beside `runs`, if several pages have a run of this name.
function reportOf(folder, run, marker) {
  const files = fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(`runs/${run}/report.html`));
  const reports = files.map((name) => path.join(folder, name));
  const own = reports.filter((report) => !marker || fs.existsSync(path.join(path.dirname(report), "../../..", marker)));
  return own.sort((one, other) => fs.statSync(other).mtimeMs - fs.statSync(one).mtimeMs)[0];
}

async function main(folder) {
  const programs = ["chromium", "chromium-browser", "google-chrome"];
  const places = process.env.PATH.split(path.delimiter).flatMap((place) => programs.map((name) => path.join(place, name)));
  const browser = await chromium.launch({ executablePath: places.find(fs.existsSync), args: ["--no-sandbox", "--disable-gpu"] });
  const tab = await browser.newPage({ viewport: { width: WIDTH, height: 1200 } });
  for (const [run, section, height, file, marker] of SCREENSHOTS) {
    const report = reportOf(folder, run, marker);
    if (!report) { console.log(`${file}: no run ${run}`); continue; }
    await tab.goto(pathToFileURL(report).href);
    const top = section ? (await tab.locator("section", { has: tab.locator(`h2:has-text("${section}")`) }).first().boundingBox()).y : 0;
    await tab.screenshot({ path: path.join(DOCS, file), fullPage: true, clip: { x: 0, y: top, width: WIDTH, height } });
    console.log(`${file}: ${Math.round(fs.statSync(path.join(DOCS, file)).size / 1000)} KB`);
  }
  await browser.close();
}

main(process.argv[2]);
