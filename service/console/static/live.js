// Attempts as they are made, over a WebSocket. What others wrote is set as text, never as markup.

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
const MAY_LISTEN_NO_LONGER = 4_000; // from this close code on

const table = document.getElementById("live");
const rows = table.tBodies[0];
const state = document.getElementById("live-state");
const again = document.getElementById("live-again");
const filters = document.getElementById("live-filters");
const pauseButton = document.getElementById("live-pause");
const words = table.dataset;
const most = Number(words.most);
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

let socket = null;
let retry = 0;
let pause = FIRST_PAUSE;
let wasOpen = false;
let paused = false;
let waiting = []; // rows for the next frame, or for when the page goes on

function say(what) {
  state.textContent = state.dataset[what];
}

function cell(row, text, className = "") {
  const made = row.insertCell();
  made.textContent = text;
  made.className = className;
  return made;
}

function attemptRow(attempt) {
  const row = document.createElement("tr");
  const address = words.messages + encodeURIComponent(attempt.message);
  const made = document.createElement("time");
  made.dateTime = attempt.at;
  made.title = `${attempt.at} (UTC)`;
  made.textContent = clock.format(new Date(attempt.at));
  row.insertCell().append(made);
  const result = document.createElement("span");
  result.className = `state ${attempt.state === "delivered" ? "delivered" : "failed"}`;
  result.textContent = attempt.state;
  row.insertCell().append(result);
  cell(row, attempt.eventType);
  cell(row, attempt.url);
  cell(row, attempt.answer === "none" ? words.none : attempt.answer).title = attempt.reason;
  cell(row, attempt.duration, "figure");
  const link = document.createElement("a");
  link.href = address;
  link.textContent = attempt.message;
  row.insertCell().append(link);
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a") && String(getSelection()) === "") location.assign(address);
  });
  return row;
}

function gapRow(missed) {
  const row = document.createElement("tr");
  row.className = "gap";
  cell(row, missed === null ? words.some : `${missed} ${words.missed}`).colSpan = table.tHead.rows[0].cells.length;
  return row;
}

function add(row) {
  waiting.push(row);
  if (waiting.length > most) waiting.shift();
  if (paused) showPause();
  else if (waiting.length === 1) requestAnimationFrame(show);
}

function show() {
  if (paused) return;
  for (const row of waiting) rows.prepend(row);
  waiting = [];
  while (rows.rows.length > most) rows.lastElementChild.remove();
}

function showPause() {
  pauseButton.setAttribute("aria-pressed", String(paused));
  const { resume, pause: name } = pauseButton.dataset;
  pauseButton.textContent = paused ? `${resume} (${waiting.length})` : name;
}

const hear = {
  ready() {
    if (wasOpen) add(gapRow(null));
    wasOpen = true;
    pause = FIRST_PAUSE;
    say(paused ? "paused" : "open");
  },
  attempt(attempt) {
    add(attemptRow(attempt));
  },
  gap({ missed }) {
    add(gapRow(missed));
  },
};

function connect() {
  clearTimeout(retry);
  const address = new URL(words.socket, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of new FormData(filters)) {
    const wanted = value.split(/[\s,]+/).filter(Boolean).join(",");
    if (wanted) address.searchParams.set(name, wanted);
  }
  say("connecting");
  const own = new WebSocket(address);
  socket?.close();
  socket = own;
  own.addEventListener("message", (event) => {
    if (own !== socket) return;
    const { type, data } = JSON.parse(event.data);
    hear[type]?.(data);
  });
  own.addEventListener("close", (event) => {
    if (own === socket) lost(own, event.code);
  });
}

async function lost(own, code) {
  const over = code >= MAY_LISTEN_NO_LONGER || (await isOver());
  if (own !== socket) return;
  if (over) {
    say("ended");
    again.hidden = false;
    return;
  }
  say("lost");
  retry = setTimeout(connect, pause * (0.5 + Math.random() / 2));
  pause = Math.min(2 * pause, LONGEST_PAUSE);
}

// A browser does not tell why an offer was refused, but the page is refused for the same reasons.
async function isOver() {
  try {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    return answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status);
  } catch {
    return false;
  }
}

filters.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value.trim()));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  wasOpen = false;
  waiting = [];
  rows.replaceChildren();
  showPause();
  pause = FIRST_PAUSE;
  connect();
});

pauseButton.addEventListener("click", () => {
  paused = !paused;
  if (!paused) show();
  showPause();
  if (socket?.readyState === WebSocket.OPEN) say(paused ? "paused" : "open");
});

pauseButton.hidden = false;
connect();
