// Draws equations: from stdin JSON of [[TeX, whether it stands on a line of its own], …], to stdout JSON
// {"html": […], "css": …}. The first argument is the folder of MathJax, the second that of its letters, as
// seen from the style sheet.
const [folder, fonts] = process.argv.slice(2);

async function main() {
  const parts = ["input/tex", "output/chtml", "adaptors/liteDOM", "a11y/assistive-mml"];
  const MathJax = await require(`${folder}/es5/node-main.js`).init({
    loader: { load: [...parts, "[tex]/textmacros"] },
    tex: { packages: { "[+]": ["textmacros"] } }, // \_ in \text
    chtml: { fontURL: fonts },
    startup: { typeset: false },
  });
  const { adaptor } = MathJax.startup;
  const asked = JSON.parse(require("fs").readFileSync(0, "utf-8"));
  const html = asked.map(([tex, display]) => adaptor.outerHTML(MathJax.tex2chtml(tex, { display })));
  const css = adaptor.textContent(MathJax.chtmlStylesheet());
  process.stdout.write(JSON.stringify({ html, css }));
}

main();
