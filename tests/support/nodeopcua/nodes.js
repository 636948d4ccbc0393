// The nodes of server.js, in the namespace "urn:test:node-opcua". Their ids are texts: "s=" and the names here.
//
// `Boolean`, `SByte` … `LocalizedText`: a scalar of each built-in type; `Int32Array`, `DoubleArray`, `StringArray`,
// `Matrix` (2 x 3 Double), `Empty` (Double, no element). `Transfer`: a structure of OPC UA for
// Devices, `Span`: one of OPC UA's own, a Range. `Null`: no value. The scalars may be set. `Bad…`, `Uncertain…`, `Good…`: 7.5 with the status of that name.
// `Level`, `Temperature`, `Explosive`, `Reversed`, `Unitless`: analog items, see `analog`. `Trend`: a Double that keeps
// the history of what it is set to. `Counter`: a UInt32 that is one more every 100 ms. `Analyser`: a device of OPC UA for
// Devices, with `.DeviceHealth` and two analog items, `.Value` and `.Temperature`. `Farm.T01.Level` … `Farm.T10.Volume`: ten tanks of five analog
// items each, in folders with Chinese names.
"use strict";

const opcua = require("node-opcua");
const { EUInformation } = require("node-opcua-types"); // which node-opcua keeps to itself

const { DataType, StatusCodes, Variant, VariantArrayType } = opcua;
const URI = "urn:test:node-opcua";
const CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact";
const TOLD = 1763890000123; // when the values that nobody has set were measured: ms UTC

// Each type's smallest, largest or a telling value; 64 bits are [high, low] here.
const SCALARS = {
  Boolean: true,
  SByte: -128,
  Byte: 255,
  Int16: -32768,
  UInt16: 65535,
  Int32: -2147483648,
  UInt32: 4294967295,
  Int64: [0x80000000, 0],
  UInt64: [0xffffffff, 0xffffffff],
  Float: 12.3,
  Double: 0.1,
  String: "罐区一",
  DateTime: new Date(TOLD),
  Guid: "72962B91-FA75-4AE6-8D28-B404DC7DAF63",
  ByteString: Buffer.from([1, 2, 255]),
  XmlElement: "<a>1</a>",
  NodeId: opcua.resolveNodeId("ns=1;i=5"),
  StatusCode: StatusCodes.BadOutOfService,
  QualifiedName: new opcua.QualifiedName({ namespaceIndex: 1, name: "Level" }),
  LocalizedText: new opcua.LocalizedText({ locale: "zh", text: "正常" }),
};

const STATUSES = [
  "Bad", "BadSensorFailure", "BadOutOfService", "BadNotConnected", "BadCommunicationError", "BadWaitingForInitialData",
  "BadConfigurationError", "BadDeviceFailure", "BadOutOfRange", "Uncertain", "UncertainLastUsableValue",
  "UncertainSensorNotAccurate", "UncertainEngineeringUnitsExceeded", "UncertainSubstituteValue", "UncertainInitialValue",
  "UncertainSubNormal", "UncertainNoCommunicationLastUsableValue", "GoodLocalOverride", "GoodClamped", "GoodOverload",
];

const METRE = { unitId: 5067858, displayName: "m" };
const CELSIUS = { unitId: 4408652, displayName: "°C" };
const ANALOG = {
  Level: { unit: METRE, range: [0, 12], value: 2.5 },
  Temperature: { unit: CELSIUS, range: [-20, 80], value: 21.4 },
  Explosive: { unit: { unitId: -1, displayName: "%LEL" }, range: [0, 100], value: 3 },
  Reversed: { unit: { unitId: 20529, displayName: "%" }, range: [100, 0], value: 50 },
  Unitless: { range: [0, 14], value: 7 },
};
const MEASURED = {
  Level: { title: "液位", unit: METRE, range: [0, 12] },
  Temperature: { title: "温度", unit: CELSIUS, range: [-20, 80] },
  Pressure: { title: "压力", unit: { unitId: 4935745, displayName: "kPa" }, range: [0, 250] },
  Interface: { title: "界位", unit: METRE, range: [0, 12] },
  Volume: { title: "体积", unit: { unitId: 5067857, displayName: "m³" }, range: [0, 5000] },
};

function information({ unitId, displayName, namespaceUri = CEFACT }) {
  return new EUInformation({ namespaceUri, unitId, displayName: { text: displayName }, description: { text: displayName } });
}

function populate(space) {
  const own = space.registerNamespace(URI);
  const kinds = {}; // name -> the DataType of what it holds
  const variables = {};
  const di = space.getNamespaceIndex("http://opcfoundation.org/UA/DI/");
  const objects = space.rootFolder.objects;

  function hold(name, kind, value, status = StatusCodes.Good, source = TOLD) {
    const shape = kinds[name].shape || { arrayType: VariantArrayType.Scalar };
    const held = value === null ? new Variant() : new Variant({ dataType: DataType[kind], value, ...shape });
    variables[name].setValueFromSource(held, status, new Date(source));
  }

  function variable(name, kind, value, { parent = objects, dataType = kind, shape, status, browseName = name } = {}) {
    const rank = shape ? { valueRank: shape.dimensions ? shape.dimensions.length : 1 } : {};
    const dimensions = shape && shape.dimensions ? { arrayDimensions: shape.dimensions } : {};
    kinds[name] = { kind, shape };
    variables[name] = own.addVariable({
      [parent === objects ? "organizedBy" : "componentOf"]: parent,
      nodeId: `s=${name}`,
      browseName,
      dataType,
      minimumSamplingInterval: 10,
      ...rank,
      ...dimensions,
    });
    hold(name, kind, value, status);
  }

  function analog(name, { unit, range: [low, high], value = 1, title, parent = objects }) {
    kinds[name] = { kind: "Double" };
    variables[name] = own.addAnalogDataItem({
      organizedBy: parent,
      nodeId: `s=${name}`,
      browseName: name.split(".").pop(),
      displayName: title,
      dataType: "Double",
      engineeringUnitsRange: { low, high },
      engineeringUnits: unit && information(unit),
      minimumSamplingInterval: 10,
    });
    hold(name, "Double", value);
  }

  function structure() {
    const type = space.findDataType("TransferResultErrorDataType", di);
    const made = space.constructExtensionObject(type, { status: -1, diagnostics: {} });
    variable("Transfer", "ExtensionObject", made, { dataType: type.nodeId });
    variable("Span", "ExtensionObject", new opcua.Range({ low: 0, high: 12 }), { dataType: "Range" });
  }

  function device() {
    const type = own.addObjectType({ browseName: "AnalyserType", subtypeOf: space.findObjectType("DeviceType", di) });
    const made = type.instantiate({ browseName: "Analyser", organizedBy: objects, namespace: own });
    const dataType = space.findDataType("DeviceHealthEnumeration", di).nodeId;
    const browseName = { name: "DeviceHealth", namespaceIndex: di };
    variable("Analyser.DeviceHealth", "Int32", 0, { parent: made, dataType, browseName });
    analog("Analyser.Value", { unit: { unitId: 18256, displayName: "mg/m³" }, range: [0, 100], value: 35.5, parent: made });
    analog("Analyser.Temperature", { unit: CELSIUS, range: [-20, 80], value: 21.4, parent: made });
  }

  function farm() {
    const folder = (parent, id, title) =>
      own.addObject({ organizedBy: parent, nodeId: `s=${id}`, browseName: id.split(".").pop(), displayName: title, typeDefinition: "FolderType" });
    const all = folder(objects, "Farm", "罐区");
    for (let number = 1; number <= 10; number++) {
      const id = `Farm.T${String(number).padStart(2, "0")}`;
      const tank = folder(all, id, `${number}# 储罐`);
      for (const [name, about] of Object.entries(MEASURED)) analog(`${id}.${name}`, { ...about, value: number, parent: tank });
    }
  }

  function means(name, property, value) {
    variables[name][property].setValueFromSource({ dataType: DataType.ExtensionObject, value });
    variables[name].handle_semantic_changed(); // which the library does by itself only where a client writes it
  }

  for (const [kind, value] of Object.entries(SCALARS)) variable(kind, kind, value);
  const list = { arrayType: VariantArrayType.Array };
  variable("Int32Array", "Int32", Int32Array.from([1, -2, 3]), { shape: list });
  variable("DoubleArray", "Double", Float64Array.from([1.5, 2.5, 3.5]), { shape: list });
  variable("StringArray", "String", ["一", "二"], { shape: list });
  variable("Empty", "Double", Float64Array.from([]), { shape: list });
  const grid = { arrayType: VariantArrayType.Matrix, dimensions: [2, 3] };
  variable("Matrix", "Double", Float64Array.from([1, 2, 3, 4, 5, 6]), { shape: grid });
  variable("Null", "Double", null);
  for (const name of STATUSES) variable(name, "Double", 7.5, { status: StatusCodes[name] });
  for (const [name, about] of Object.entries(ANALOG)) analog(name, about);
  structure();
  device();
  farm();
  variable("Trend", "Double", 1);
  space.installHistoricalDataNode(variables.Trend, { maxOnlineValues: 100000 });
  let count = 0;
  variable("Counter", "UInt32", count);
  setInterval(() => hold("Counter", "UInt32", ++count, StatusCodes.Good, Date.now()), 100).unref();

  return {
    set(name, { value, status = "Good", source = Date.now() }) {
      const kind = kinds[name].kind;
      const kept = value === undefined ? variables[name].readValue().value.value : value;
      hold(name, kind, kind === "DateTime" ? new Date(kept) : kept, StatusCodes[status], source);
    },
    units(name, unit) {
      means(name, "engineeringUnits", information(unit));
    },
    range(name, low, high) {
      means(name, "euRange", new opcua.Range({ low, high }));
    },
  };
}

module.exports = { populate };
