// SPDX-License-Identifier: Apache-2.0
// Ask the site's own search, as a browser would: its worker runs here. Prints a JSON list of pages for each question.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [site, ...questions] = process.argv.slice(2);
const workers = path.join(site, "assets/javascripts/workers");
const worker = fs.readdirSync(workers).find((name) => /^search\..*\.js$/.test(name));
const index = JSON.parse(fs.readFileSync(path.join(site, "search/search_index.json")));
const answers = [];
let ask;

Object.assign(globalThis, {
    self: globalThis,
    location: { href: "http://localhost/" },
    addEventListener: (type, listener) => { ask = listener; },
    postMessage: (answer) => answers.push(answer),
});
vm.runInThisContext(fs.readFileSync(path.join(workers, worker), "utf8"));
// The numbers are those of Material's messages: set up, and query.
await ask({ data: { type: 0, data: { ...index, options: { suggest: false } } } });
const found = {};
for (const question of questions) {
    answers.length = 0;
    await ask({ data: { type: 2, data: question } });
    // Each group is a page: its best section comes first.
    found[question] = answers[0].data.items.map(([best]) => best.location);
}
console.log(JSON.stringify(found));
