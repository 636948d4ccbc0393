// node-opcua, from npm, as an OPC UA server: it shares no code with ours, nor with asyncua.
//
// On stdin one JSON document a line, on stdout one answer to each. The first one says how it is served:
//   {"port": 0, "certificate": FILE, "key": FILE, "folder": EMPTY FOLDER}  ->  {"port": 40123, "seconds": 1.9}
// It offers security None and Basic256Sha256 (Sign, SignAndEncrypt), to anonymous clients, whose certificates it admits.
// Each further one is a command; NAME is a node's id in the namespace "urn:test:node-opcua", see nodes.js:
//   {"set": NAME, "value": V, "status": "Good", "source": MS}   what it holds: each but `set` may be left out
//   {"units": NAME, "unit": {"unitId": 4408652, "displayName": "°C", "namespaceUri": U}}   both say SemanticsChanged
//   {"range": NAME, "low": 0, "high": 12}                                                  to who has subscribed
//   {"sessions": true}   ->  {"sessions": 1, "subscriptions": 0}
//   {"quit": true}       it closes its sessions and ends; what is started again on the same port is a restart
// An answer is {} unless said otherwise, or {"error": TEXT}. It ends with its stdin.
"use strict";

const readline = require("readline");
const { OPCUACertificateManager, OPCUAServer, MessageSecurityMode, SecurityPolicy, nodesets } = require("node-opcua");
const { populate } = require("./nodes.js");

const answer = (said) => process.stdout.write(`${JSON.stringify(said)}\n`);
console.log = console.error; // the library's remarks

let server, nodes;

async function start({ port, certificate, key, folder }) {
  const began = Date.now();
  const admitting = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  server = new OPCUAServer({
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    resourcePath: "/park",
    serverInfo: { applicationUri: "urn:test:server" },
    buildInfo: { productName: "node-opcua park", manufacturerName: "node-opcua", softwareVersion: "2" },
    nodeset_filename: [nodesets.standard, nodesets.di],
    certificateFile: certificate,
    privateKeyFile: key,
    serverCertificateManager: admitting,
    userCertificateManager: admitting,
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256],
    disableDiscovery: true,
    maxConnectionsPerEndpoint: 100,
    serverCapabilities: { operationLimits: { maxNodesPerRead: 1000, maxNodesPerTranslateBrowsePathsToNodeIds: 40 } },
  });
  await server.initialize();
  nodes = populate(server.engine.addressSpace);
  await server.start();
  const listening = server.endpoints[0]._server.address().port;
  return { port: listening, seconds: (Date.now() - began) / 1000 };
}

async function obey(told) {
  if (!server) return start(told);
  if ("set" in told) return nodes.set(told.set, told);
  if ("units" in told) return nodes.units(told.units, told.unit);
  if ("range" in told) return nodes.range(told.range, told.low, told.high);
  if ("sessions" in told) return { sessions: server.engine.currentSessionCount, subscriptions: server.engine.currentSubscriptionCount };
  if ("quit" in told) return server.shutdown(0).then(() => ({}));
  throw new Error(`no such command: ${Object.keys(told)}`);
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    try {
      answer((await obey(told)) || {});
    } catch (error) {
      answer({ error: error.stack });
    }
    if ("quit" in told) break;
  }
  process.exit(0);
}

main();
