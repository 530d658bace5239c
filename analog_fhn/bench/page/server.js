// Questions to the server: one whole state each; lines of JSON come back as they are computed.

export class Refused extends Error {}

export async function ask(question, body, { signal, progress } = {}) {
  let last;
  for await (const answer of stream(question, body, { signal, progress })) last = answer;
  return last;
}

export async function* stream(question, body, { signal, progress } = {}) {
  const response = await fetch(`api/${question}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
  });
  if (!response.ok) throw new Refused((await response.json().catch(() => ({}))).error ?? response.statusText);
  if (!response.headers.get("content-type").includes("ndjson")) { yield await response.json(); return; }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? "";
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      const said = JSON.parse(line);
      if (said.error !== undefined) throw new Refused(said.error);
      if (said.progress) progress?.(...said.progress);
      if (said.answer) yield said.answer;
    }
    if (done) return;
  }
}

// Single precision from base64, little end first.
export function unpacked({ shape, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = new Float32Array(bytes.length / 4);
  for (let k = 0; k < values.length; k++) values[k] = view.getFloat32(4 * k, true);
  return { shape, values };
}
