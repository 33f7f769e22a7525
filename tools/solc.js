#!/usr/bin/env node
// The Solidity compiler that py-solc-x, brownie and forge share: npm's solc behind solc's own command line.
//   solc.js --version
//   solc.js --standard-json [FILE] [--base-path DIR] [--include-path DIR]... [--allow-paths ...]
// Bytecode is that of the native compiler of the same version: it is the same source, built to wasm.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const root = path.resolve(__dirname, "..");
const load = createRequire(path.join(root, "package.json"));

// Pipes may be non-blocking: one write of a large output fails with EAGAIN half way.
function writeAll(text) {
  const buffer = Buffer.from(text);
  let sent = 0;
  while (sent < buffer.length) {
    try {
      sent += fs.writeSync(1, buffer, sent);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function fail(message) {
  process.stderr.write(`solc.js: ${message}\n`);
  process.exit(1);
}

// Loading the wasm takes half a second, and every tool asks for the version first.
function version() {
  const installed = load("solc/package.json").version;
  const cache = path.join(path.dirname(load.resolve("solc/package.json")), ".long-version");
  try {
    const known = fs.readFileSync(cache, "utf8");
    if (known.startsWith(installed)) return known;
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const long = load("solc").version();
  try {
    fs.writeFileSync(cache, long);
  } catch (error) {
    if (error.code !== "EACCES" && error.code !== "EROFS") throw error;
  }
  return long;
}

function parse(args) {
  const options = { file: null, bases: [process.cwd()] };
  for (let i = 0; i < args.length; i++) {
    const [flag, inline] = args[i].split(/=(.*)/s);
    const value = () => (inline !== undefined ? inline : args[++i]);
    if (flag === "--standard-json") continue;
    else if (flag === "--base-path" || flag === "--include-path") options.bases.push(path.resolve(value()));
    else if (flag === "--allow-paths") value();
    else if (flag === "-" || flag.startsWith("--")) {
      if (flag !== "-") fail(`unknown option ${flag}; known: --version, --standard-json, --base-path, --include-path, --allow-paths`);
    } else options.file = args[i];
  }
  return options;
}

function compile(args) {
  const { file, bases } = parse(args);
  const input = fs.readFileSync(file === null ? 0 : file, "utf8");
  const findImport = (name) => {
    for (const candidate of [name, ...bases.map((base) => path.join(base, name))]) {
      if (fs.existsSync(candidate)) return { contents: fs.readFileSync(candidate, "utf8") };
    }
    return { error: `file not found: ${name} (looked in ${bases.join(", ")})` };
  };
  writeAll(load("solc").compile(input, { import: findImport }));
}

const args = process.argv.slice(2);
if (args.includes("--version")) {
  writeAll(`solc, the solidity compiler commandline interface\nVersion: ${version()}\n`);
} else if (args.includes("--standard-json")) {
  compile(args);
} else {
  fail("give --version or --standard-json");
}
