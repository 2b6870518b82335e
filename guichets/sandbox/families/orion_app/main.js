// The script of the small application that plays Orion's; written for the sandbox, every line of it.
//
// It does what an Orion page was seen to do: asks for its configuration, assembles the request for the slots from
// it, shows days or a message. data-play on the body says how it misbehaves.
"use strict";

const play = JSON.parse(document.body.dataset.play);
const elsewhere = document.body.dataset.elsewhere;
const asked = new URLSearchParams(location.search);
const root = document.querySelector("app-root");
const API = "/orion/api/1";
const BOOKINGS = API + "/rdv/bookings";
const NONE = "Il n'y a pas de rendez-vous disponible pour le moment.";
const FAILED = "Une erreur est survenue, merci de réessayer plus tard.";

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function draw(inner) {
  const draft = '<div class="user-msg" hidden>brouillon</div>';
  root.innerHTML = "<main><h1>Choisissez un créneau</h1>" + draft + inner + "</main>";
}

function message(text, isError) {
  return '<div class="user-msg' + (isError ? " error" : "") + '">' + text + "</div>";
}

function days(listed) {
  const label = (day) => (typeof day === "string" ? day : day.day || day.date || day.label || day.from);
  return listed.map((day) => '<span class="day">' + label(day) + "</span>").join("");
}

async function json(address, options) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function request(configuration) {
  const code = asked.get("code");
  return {
    date: null,
    maxElement: 100,
    maxElementBySite: 10,
    numberOfDay: 60,
    accountId: configuration.accountId,
    usagerUid: null,
    purposes: configuration.purposes,
    configId: configuration.configId,
    duration: configuration.purposes[0].duration,
    filterRequest: {
      filterChannel: ["PHYSICAL"],
      filterDay: [1, 2, 3, 4, 5],
      filterPlaceCode: [code],
      filterPlaceUrlCode: code,
      filterPlaceCodeCanChange: false,
      filterResources: [],
    },
    ignoreResource: false,
    external: true,
    indexPagination: 0,
    slotsPerPage: 20,
  };
}

function post(address, value) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  return { method: "POST", headers, body: JSON.stringify(value) };
}

function askSlots(configuration, changes) {
  const asking = Object.assign(request(configuration), changes);
  return json(BOOKINGS + "/availableSlotByDay", post("", asking));
}

function submitted(action) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = action;
  document.body.append(form);
  form.submit();
}

function framed(address) {
  const frame = document.createElement("iframe");
  frame.src = address;
  document.body.append(frame);
}

function saved(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = "rendez-vous.bin";
  document.body.append(link);
  link.click();
}

function connected(address) {
  try {
    new WebSocket(address);
  } catch (error) {
    // refused at once
  }
}

const ODD = {
  // what no observer may send
  booking: (configuration) => fetch(BOOKINGS + "/createBooking", post("", { configId: configuration.configId })),
  "person-in-request": (configuration) => askSlots(configuration, { usagerUid: "0e9f" }),
  beacon: () => navigator.sendBeacon(BOOKINGS + "/createBooking", "{}"),
  form: () => (submitted(BOOKINGS + "/confirm"), wait(3000)),
  "booking-window": () => (window.open(BOOKINGS + "/createBooking"), wait(1500)),
  socket: () => (connected("ws://" + location.host + "/orion/live"), wait(1500)),
  worker: () => {
    const source = "fetch('" + location.origin + BOOKINGS + "/hold').catch(() => 0)";
    new Worker(URL.createObjectURL(new Blob([source])));
    return wait(1500);
  },
  leaves: () => ((location.href = elsewhere + "/away"), wait(3000)),

  // what disturbs a browser
  "third-parties": () => {
    fetch(elsewhere + "/collect", { method: "POST", body: "x" }).catch(() => 0);
    framed(elsewhere + "/frame");
    connected(elsewhere.replace("http", "ws") + "/live");
    navigator.sendBeacon(elsewhere + "/beacon", "x");
    new Image().src = elsewhere + "/pixel.png";
    window.open(elsewhere + "/advert");
  },
  dialog: () => {
    window.onbeforeunload = () => "Quitter ?";
    alert("Bienvenue");
    confirm("Accepter ?");
    prompt("Votre nom");
  },
  popup: () => {
    window.open(location.href, "again");
    window.open("about:blank");
  },
  download: () => saved("x"),
  "service-worker": () => navigator.serviceWorker && navigator.serviceWorker.register("sw.js").catch(() => 0),
  throws: () => {
    setTimeout(() => {
      throw new Error("odd");
    }, 0);
    Promise.reject(new Error("odd"));
  },
  moves: () => {
    const clock = document.body.appendChild(document.createElement("p"));
    setInterval(() => (clock.textContent = String(Math.random())), 50);
  },
  hang: () => {
    for (;;);
  },
  memory: async () => {
    const kept = [];
    for (;;) {
      kept.push(new Array(10000000).fill(Math.random()));
      await wait(0);
    }
  },
  reload: () => (location.reload(), wait(60000)),
  polls: async (configuration) => {
    for (;;) await askSlots(configuration).catch(() => wait(50));
  },
};

function shown(listed) {
  if (play.says === "error") return message(FAILED, true) + days(listed);
  if (play.says === "nothing") return days(listed);
  return (play.says === "message" || !listed.length ? message(NONE, false) : "") + days(listed);
}

async function run() {
  draw("<p>Chargement…</p>");
  if (play.never) return;
  try {
    const place = "/public/accounts/" + asked.get("account") + "/configs/" + asked.get("config");
    const configuration = await json(API + place);
    if (play.odd) await ODD[play.odd](configuration);
    let listed = (await askSlots(configuration)).daySlots;
    if (play.twice) listed = (await askSlots(configuration)).daySlots;
    await wait(play.late_ms);
    draw(shown(listed));
  } catch (error) {
    await wait(play.late_ms);
    draw(message(FAILED, true));
  }
}

run();
