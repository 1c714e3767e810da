// Shows what the stream of events says, and sends what the person answers. Everything is text: nothing that an artifact
// or a server calls itself is taken for HTML.
"use strict";

const token = document.querySelector('meta[name="kiosk-token"]').content;
const find = (id) => document.getElementById(id);
let view = null;
let latest = null; // the update that ended last
let stream = null;

const STEPS = {
  "gate-download": 0, "paused-before-download": 0, "download": 0,
  "gate-install": 1, "paused-before-install": 1, "install": 1,
  "gate-reboot": 2, "paused-before-reboot": 2, "reboot": 2,
  "verify-reboot": 3, "check": 3, "gate-commit": 3, "paused-before-commit": 3, "commit": 3, "after-commit": 3,
};

const RESULTS = {
  "success": { badge: "Installed", tone: "good", words: (name) => `${name} was installed` },
  "failure": { badge: "Did not work", tone: "bad", words: (name) => `${name} did not work` },
  "aborted": { badge: "Stopped", tone: "ask", words: (name) => `${name} was stopped` },
  "rolled-back": { badge: "Undone", tone: "ask", words: (name) => `${name} was undone` },
};

// --- words

function scene(now) {
  const name = now.artifact || "the update";
  const Name = now.artifact || "The update";
  const before = now.current || "the version before";
  if (!now.present) {
    return { tone: "bad", sign: "bad", headline: "The update service is not there",
      detail: "The device works as it did. This page goes on by itself when the service is back." };
  }
  if (now.problem) {
    return { tone: "bad", sign: "bad", headline: "This screen cannot hold updates", detail: now.problem };
  }
  if (now.question) {
    return question(now, name, before);
  }
  if (now.held_at) {
    return waiting(now, name);
  }
  const work = {
    "gate-download": `Getting ${name}`, "download": `Getting ${name}`,
    "gate-install": `Installing ${name}`, "install": `Installing ${name}`,
    "gate-reboot": "Restarting", "reboot": "Restarting",
    "verify-reboot": `Checking ${name}`, "check": `Checking ${name}`,
    "gate-commit": `Keeping ${name}`, "commit": `Keeping ${name}`, "after-commit": `Keeping ${name}`,
    "rollback": `Going back to ${before}`, "rollback-reboot": `Restarting into ${before}`,
    "verify-rollback": `Going back to ${before}`,
    "failure": "Cleaning up", "cleanup": "Cleaning up", "report": "Cleaning up",
  }[now.state];
  if (work) {
    const plain = {
      "download": "You can go on working. Nothing changes until you say so.",
      "install": "You can go on working.",
      "reboot": "The screen goes dark for a moment. Please leave the device switched on.",
      "rollback-reboot": "The screen goes dark for a moment. Please leave the device switched on.",
      "check": `${Name} runs. It is tested whether everything works.`,
    }[now.state] || "";
    return { tone: "work", sign: signOf(now.state), busy: true, headline: work, detail: now.substate || plain };
  }
  if (!now.enabled) {
    return { tone: "calm", sign: "off", headline: "Updates are off",
      detail: "A new version may be fetched, but it is neither installed nor asked about until you switch updates on." };
  }
  return { tone: "good", sign: "good", headline: "No update is waiting", detail: "You are asked before anything changes." };
}

function signOf(state) {
  if (state.includes("rollback")) {
    return "back";
  }
  return ["get", "install", "reboot", "wait"][STEPS[state]] || "wait";
}

function question(now, name, before) {
  const asked = {
    "install": {
      sign: "install", headline: `${now.artifact || "An update"} is ready`, yes: "Install now",
      detail: "It was fetched and checked. It is not installed until you say so.",
    },
    "reboot": {
      sign: "reboot", headline: "Restart to finish?", yes: "Reboot now",
      detail: `${name} is installed. The device has to restart to use it. Afterwards you can try it, and still go back.`,
    },
    "commit": {
      sign: "keep", headline: "Does everything work?", yes: "Keep this version", back: true,
      detail: `${name} runs on trial. Keep it, or go back to ${before}. If the device fails, it goes back by itself.`,
    },
  }[now.question];
  if (now.later) {
    const left = { "install": "It is installed", "reboot": "The device restarts", "commit": "It stays on trial until you decide" };
    const ends = now.question === "commit" ? "." : " when you say so.";
    return { ...asked, tone: "calm", postponed: true, detail: `You said later. ${left[now.question]}${ends}` };
  }
  return { ...asked, tone: "ask", later: true };
}

function waiting(now, name) {
  const off = !now.enabled;
  const where = { "download": "to be fetched", "install": "to be installed", "reboot": "for a restart", "commit": "to be kept" };
  return {
    tone: "calm", sign: off ? "off" : "wait", headline: `${now.artifact || "An update"} waits ${where[now.held_at] || ""}`.trim(),
    detail: off
      ? "Updates are off. Switch them on, and you are asked what to do."
      : (now.others.length ? "You said yes. It goes on as soon as nobody else holds it." : `${name} goes on in a moment.`),
  };
}

function slotWords(slot, now) {
  const trial = !slot.good && slot.bootable;
  const updating = now.state !== "idle";
  if (slot.running) {
    return trial && updating ? [now.artifact || "New version", "runs, on trial"] : [now.current || "This version", "runs"];
  }
  const runningTrial = now.slots.some((one) => one.running && !one.good && one.bootable);
  if (slot.good) {
    return runningTrial && updating ? [now.current || "Version before", "kept, to go back to"] : ["Version before", "kept, as a fallback"];
  }
  if (trial) {
    return [now.artifact || "New version", "starts next, on trial"];
  }
  const stored = ["paused-before-install", "gate-install", "install", "gate-reboot", "paused-before-reboot"];
  return stored.includes(now.state) ? [now.artifact || "New version", "ready, does not run"] : ["Spare", "takes the next version"];
}

function bytes(count) {
  for (const unit of ["bytes", "kB", "MB"]) {
    if (count < 1000) {
      return `${unit === "bytes" || count >= 100 ? Math.round(count) : count.toFixed(1)} ${unit}`;
    }
    count /= 1000;
  }
  return `${count.toFixed(1)} GB`;
}

function span(seconds) {
  if (seconds < 60) {
    return `${Math.max(1, Math.round(seconds))} s left`;
  }
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${Math.round(seconds / 3600)} h left`;
}

function when(seconds) {
  const date = new Date(Number(seconds) * 1000);
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(date);
}

// --- what is seen

function text(element, words) {
  if (element.textContent !== words) {
    element.textContent = words;
  }
}

function render() {
  const now = view;
  const found = scene(now);
  find("stage").dataset.tone = found.tone;
  find("sign").firstElementChild.setAttribute("href", `#sign-${found.sign}`);
  text(find("headline"), found.headline);
  text(find("detail"), found.detail);
  text(find("current"), now.current ? `Runs ${now.state === "idle" || !onTrial(now) ? now.current : now.artifact}` : "");
  document.title = found.tone === "ask" ? `${found.headline} – Software updates` : "Software updates";
  const enabled = find("enabled");
  enabled.checked = now.enabled;
  enabled.disabled = !now.present;
  renderSteps(now, found);
  renderProgress(now, found);
  renderNote(now);
  renderOthers(now);
  renderAnswers(now, found);
  renderSlots(now);
}

function onTrial(now) {
  return now.slots.some((slot) => slot.running && !slot.good && slot.bootable);
}

function renderSteps(now) {
  const step = now.present ? STEPS[now.state] : undefined;
  find("steps").hidden = step === undefined;
  [...find("steps").children].forEach((item, index) => {
    item.classList.toggle("done", index < step);
    if (index === step) {
      item.setAttribute("aria-current", "step");
    } else {
      item.removeAttribute("aria-current");
    }
  });
}

function renderProgress(now, found) {
  const progress = now.progress || {};
  const coming = now.present && now.state === "download" && progress.bytes !== undefined;
  find("progress").hidden = !found.busy;
  const bar = find("bar");
  const known = coming && progress.percent !== undefined;
  bar.classList.toggle("unknown", !known);
  bar.firstElementChild.style.width = known ? `${progress.percent}%` : "";
  if (known) {
    bar.setAttribute("aria-valuenow", progress.percent);
  } else {
    bar.removeAttribute("aria-valuenow");
  }
  text(find("percent"), known ? `${progress.percent} %` : "");
  const total = progress.total === undefined ? "" : ` of ${bytes(progress.total)}`;
  text(find("amount"), coming ? `${bytes(progress.bytes)}${total}` : "");
  text(find("rate"), coming && progress.rate ? `${bytes(progress.rate)}/s` : "");
  text(find("left"), coming && progress.left !== undefined ? span(progress.left) : "");
}

function renderNote(now) {
  const note = find("note");
  const idle = now.present && !now.problem && now.state === "idle" && latest !== null;
  note.hidden = !idle;
  if (!idle) {
    return;
  }
  const result = RESULTS[latest.result];
  note.dataset.tone = result ? result.tone : "bad";
  const name = latest.artifact || latest.file || "The last update";
  text(note.firstElementChild, result ? result.words(name) : name);
  const why = latest.result === "failure" || latest.result === "aborted" ? latest.error : "";
  const stays = latest.result === "success" ? "" : ` The device runs ${now.current || "what it ran before"}.`;
  text(note.lastElementChild, why ? `${sentence(why)}${stays}` : `${when(latest.ended)}.${stays}`);
}

function sentence(words) {
  const start = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

function renderOthers(now) {
  const shown = now.present && now.held_at !== "" && now.others.length > 0;
  find("others").hidden = !shown;
  const list = find("others").querySelector("ul");
  if (shown && [...list.children].map((item) => item.textContent).join("\n") !== now.others.join("\n")) {
    list.replaceChildren(...now.others.map((words) => made("li", words)));
  }
}

function renderAnswers(now, found) {
  const focused = document.activeElement;
  const idle = now.state === "idle" && now.present && now.enabled && now.can_check;
  offer("yes", found.yes);
  offer("later", found.later && !found.back ? "Later" : "");
  offer("back", found.back ? "Go back" : "");
  offer("check", idle ? "Look for an update" : "");
  find("yes").classList.toggle("main", !found.postponed);
  if (focused && focused.hidden && focused.closest("#answers")) {
    find("headline").focus({ preventScroll: true }); // who uses the keyboard is not thrown back to the top
  }
}

function offer(id, words) {
  const button = find(id);
  button.hidden = !words;
  text(button, words || "");
}

function renderSlots(now) {
  find("slots").hidden = now.slots.length === 0;
  const tiles = now.slots.map((slot) => {
    const [name, words] = slotWords(slot, now);
    const tile = made("div", "", "slot");
    tile.classList.toggle("runs", slot.running);
    tile.classList.toggle("good", slot.good);
    tile.classList.toggle("trial", !slot.good && slot.bootable);
    const letter = made("span", slot.name.slice(0, 1), "letter");
    letter.setAttribute("aria-hidden", "true");
    const side = made("div", "");
    side.append(made("strong", name), made("small", words));
    tile.append(letter, side);
    return tile;
  });
  find("slots").querySelector(".pair").replaceChildren(...tiles);
}

function made(kind, words, name) {
  const element = document.createElement(kind);
  element.textContent = words;
  if (name) {
    element.className = name;
  }
  return element;
}

// --- what is said

async function ask(path, body) {
  const options = { headers: { "X-Kiosk-Token": token }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const reply = await fetch(path, options);
  const answer = await reply.json();
  if (!reply.ok) {
    throw new Error(answer.error);
  }
  return answer.result;
}

let quiet;
function complain(words) {
  const toast = find("toast");
  toast.textContent = sentence(words);
  toast.hidden = false;
  clearTimeout(quiet);
  quiet = setTimeout(() => { toast.hidden = true; }, 8000);
}

async function say(button, path, body) {
  if (button.ariaDisabled === "true") {
    return;
  }
  button.ariaDisabled = "true"; // not `disabled`: that would take the focus away from who uses the keyboard
  try {
    await ask(path, body);
    find("toast").hidden = true;
  } catch (error) {
    complain(error.message || "This did not work");
  } finally {
    button.ariaDisabled = null;
    render();
  }
}

function answer(button, word) {
  say(button, "answer", { answer: word, point: view.question, update: view.update });
}

find("yes").addEventListener("click", (event) => answer(event.currentTarget, "yes"));
find("later").addEventListener("click", (event) => answer(event.currentTarget, "later"));
find("back").addEventListener("click", (event) => answer(event.currentTarget, "back"));
find("check").addEventListener("click", (event) => say(event.currentTarget, "check", {}));
find("enabled").addEventListener("change", (event) => say(event.target, "enabled", { enabled: event.target.checked }));

async function readHistory() {
  const found = await ask("history");
  latest = found.length > 0 ? found[0] : null;
  return found;
}

find("open-history").addEventListener("click", async () => {
  try {
    const found = await readHistory();
    find("no-entries").hidden = found.length > 0;
    find("entries").replaceChildren(...found.map((entry) => {
      const result = RESULTS[entry.result] || { badge: entry.result, tone: "bad" };
      const item = made("li", "");
      const badge = made("span", result.badge, "badge");
      badge.dataset.tone = result.tone;
      item.append(made("strong", entry.artifact || entry.file || "An update"), badge, made("span", when(entry.ended), "when"));
      if (entry.error) {
        item.append(made("span", sentence(entry.error), "why"));
      }
      return item;
    }));
    find("history").showModal();
  } catch (error) {
    complain(error.message || "The history cannot be read");
  }
});
find("close-history").addEventListener("click", () => find("history").close());
find("history").addEventListener("click", (event) => {
  if (event.target === find("history")) {
    find("history").close(); // beside it
  }
});

// --- the stream

function listen() {
  stream = new EventSource(`events?token=${encodeURIComponent(token)}`);
  stream.onmessage = async (event) => {
    const before = view;
    view = JSON.parse(event.data);
    render();
    const ended = before === null || !before.present || before.state !== "idle" || before.last_result !== view.last_result;
    if (view.present && view.state === "idle" && ended) {
      try {
        await readHistory();
        render();
      } catch {
        // The next change tries it again.
      }
    }
  };
  stream.onerror = () => {
    stream.close();
    view = { present: false, enabled: find("enabled").checked, problem: "", state: "idle", slots: [], others: [], progress: {}, question: "" };
    render();
    setTimeout(comeBack, 1000);
  };
}

// After a restart of the program behind this page, its token is another one: the page is loaded anew, but only when
// there is something to load. A browser's page of errors would stay.
async function comeBack() {
  try {
    const reply = await fetch(location.pathname, { cache: "no-store" });
    if (reply.ok) {
      location.reload();
      return;
    }
  } catch {
    // Not there yet.
  }
  setTimeout(comeBack, 1000);
}

listen();
