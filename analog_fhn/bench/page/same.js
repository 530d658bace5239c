// The same state as a link, as commands and as lines of Python; buttons that copy them.

import { toText } from "./state.js";

export function showLink(state) {
  const text = toText(state);
  history.replaceState(null, "", `#${text}`);
  document.getElementById("link").textContent = location.href;
}

export function showCommands(answer, run) {
  document.getElementById("command").textContent = answer.command;
  document.getElementById("python").textContent = answer.python;
  const file = document.getElementById("file");
  file.hidden = answer.technology === null;
  document.getElementById("technology-text").textContent = answer.technology ?? "";
  const save = document.getElementById("file-save");
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([answer.technology ?? ""], { type: "application/yaml" }));
  const specification = run.specification === null ? "" : `specification: ${run.specification}\n`;
  document.getElementById("sweep").textContent = `# sweep.yaml\n${answer.sweep_file}chips: ${run.chips}\n${specification}\n# in its folder:\n${answer.sweep}`;
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const place = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(place.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(place);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
