// jsmodbus, from npm, as an instrument: it answers functions 1 to 4 and shares no code with ours.
//
// `server.js tcp`, `server.js rtu TERMINAL` or `server.js rtu-over-tcp`. On stdin one line of JSON as libmodbus.py takes
// it; every unit is answered. It says one line when it listens, over TCP the port, and serves until it is killed. What
// reaches behind the end of a table it answers short, as some instruments do, and not with an exception.
"use strict";

const fs = require("fs");
const net = require("net");
const { Duplex } = require("stream");
const modbus = require("jsmodbus");

const [transport, terminal] = process.argv.slice(2);

function registers(values) {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, place) => bytes.writeUInt16BE(value, 2 * place));
  return bytes;
}

function bits(values) {
  const bytes = Buffer.alloc(Math.ceil(values.length / 8));
  values.forEach((value, place) => (bytes[place >> 3] |= value << (place & 7)));
  return bytes;
}

function listen(onListening) {
  const server = net.createServer();
  onListening(server);
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function serve({ coil = [], discrete = [], holding = [], input = [] }) {
  const tables = {
    coils: bits(coil),
    discrete: bits(discrete),
    holding: registers(holding),
    input: registers(input),
  };
  if (transport === "tcp") {
    listen((server) => new modbus.server.TCP(server, tables));
  } else if (transport === "rtu-over-tcp") {
    listen((server) => server.on("connection", (socket) => new modbus.server.RTU(socket, tables)));
  } else {
    // A terminal as two plain streams: its settings are made already, and the native serial port stays uninstalled.
    const line = Duplex.from({ readable: fs.createReadStream(terminal), writable: fs.createWriteStream(terminal) });
    new modbus.server.RTU(line, tables);
    console.log("ready");
  }
}

let told = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  told += text;
  if (told.endsWith("\n")) serve(JSON.parse(told).tables);
});
