// Draws portraits of known attributes: node portraits.mjs ATTRIBUTES.jsonl OUT.rgb
// Each line of the first file is one portrait as `portraits.py` describes it; OUT gets 128 x 128 RGB bytes of each.
import fs from 'node:fs';
import { createAvatar } from '@dicebear/core';
import { avataaars, toonHead, personas } from '@dicebear/collection';
import { Resvg } from '@resvg/resvg-js';

const SIDE = 128;
const HAIR = { black: '2c1b18', brown: '724133', blond: 'e0b95b', red: 'c93305', silver: 'c8c8cc', blue: '3b7dd8',
  green: '2e9e6b', pink: 'ea6fa6', purple: '7a4fc9' };
const CLOTHES = { black: '262e33', white: 'f4f4f4', red: 'd9363e', blue: '3b6fd8', green: '2f9e58', yellow: 'f2c230',
  orange: 'f08a2c', purple: '7a4fc9', pink: 'f29abf' };
const SKIN = { light: 'ffdbb4', tan: 'd9a06b', brown: 'ae5d29', dark: '614335' };
const BACKGROUND = { white: 'ffffff', blue: '9cc9f5', green: 'a8dcb0', yellow: 'f8e29a', pink: 'f7c1d4',
  purple: 'cbb8f0', orange: 'f7c79b', grey: 'd5d8dc' };
const GLASSES_FRAME = '262e33';

// What an attribute is called in the options of each design; a mood is a mouth and a pair of eyes.
const FLAT = {
  hair: { short: 'shortFlat', 'short curly': 'shortCurly', long: 'straight01', bob: 'bob', bun: 'bun', curly: 'curly',
    afro: 'fro', dreadlocks: 'dreads', 'shaved sides': 'shavedSides', wavy: 'curvy', spiky: 'shortRound' },
  hat: { hat: 'hat', hijab: 'hijab', turban: 'turban', 'winter hat': 'winterHat02' },
  wears: { glasses: 'prescription02', 'round glasses': 'round', sunglasses: 'sunglasses', 'an eyepatch': 'eyepatch' },
  beard: { 'a beard': 'beardMedium', 'a light beard': 'beardLight', 'a moustache': 'moustacheMagnum' },
  mood: { smiling: ['smile', 'happy'], laughing: ['smile', 'closed'], sad: ['sad', 'default'],
    surprised: ['screamOpen', 'surprised'], serious: ['serious', 'default'], 'in love': ['smile', 'hearts'],
    winking: ['twinkle', 'wink'], 'with the tongue out': ['tongue', 'happy'] },
  clothes: { hoodie: 'hoodie', 't-shirt': 'shirtCrewNeck', jacket: 'blazerAndShirt', sweater: 'collarAndSweater',
    overall: 'overall' },
};
const TOON = {
  front: { combed: 'sideComed', undercut: 'undercut', spiky: 'spiky', bun: 'bun' },
  rear: { long: 'longStraight', wavy: 'longWavy' },
  beard: { 'a beard': 'fullBeard', 'a long beard': 'longBeard', 'a moustache': 'moustacheTwirl' },
  mood: { smiling: ['smile', 'happy'], laughing: ['laugh', 'bow'], sad: ['sad', 'humble'], surprised: ['agape', 'wide'],
    angry: ['angry', 'wide'], winking: ['smile', 'wink'] },
  brows: { angry: 'angry', sad: 'sad' },
  clothes: { 't-shirt': 'tShirt', jacket: 'openJacket', shirt: 'shirt', dress: 'dress', turtleneck: 'turtleNeck' },
};
const SIMPLE = {
  hair: { bald: 'bald', long: 'long', short: 'shortCombover', curly: 'curly', bob: 'bobCut', 'buzz cut': 'buzzcut',
    mohawk: 'mohawk', bun: 'straightBun', pigtails: 'pigtails', 'extra long': 'extraLong' },
  hat: { cap: 'cap', beanie: 'beanie' },
  wears: { glasses: 'glasses', sunglasses: 'sunglasses' },
  beard: { 'a beard': 'beardMustache', 'a goatee': 'goatee', 'a moustache': 'walrus' },
  mood: { smiling: ['smile', 'open'], laughing: ['bigSmile', 'happy'], sad: ['frown', 'open'],
    surprised: ['surprise', 'open'], winking: ['smirk', 'wink'], sleepy: ['smile', 'sleep'] },
  clothes: { sweater: 'rounded', shirt: 'squared', 't-shirt': 'small', 'checkered shirt': 'checkered' },
};

// A beard has a colour too where a hat or a bald head leaves that of the hair open.
const colourOfHair = (a, index) => [HAIR[a.hairColor ?? Object.keys(HAIR)[index % Object.keys(HAIR).length]]];

function flat(a, index) {
  const [mouth, eyes] = FLAT.mood[a.mood];
  const bald = !a.hat && a.hair === 'bald';
  return [avataaars, {
    ...(bald ? { topProbability: 0 } : { top: [a.hat ? FLAT.hat[a.hat] : FLAT.hair[a.hair]], topProbability: 100 }),
    hatColor: [CLOTHES[a.clothesColor]],
    hairColor: colourOfHair(a, index), facialHairColor: colourOfHair(a, index), skinColor: [SKIN[a.skin]],
    accessories: [FLAT.wears[a.wears ?? 'glasses']], accessoriesProbability: a.wears ? 100 : 0,
    accessoriesColor: [GLASSES_FRAME],
    facialHair: [FLAT.beard[a.beard ?? 'a beard']], facialHairProbability: a.beard ? 100 : 0,
    mouth: [mouth], eyes: [eyes], eyebrows: ['defaultNatural'],
    clothing: [FLAT.clothes[a.clothes]], clothesColor: [CLOTHES[a.clothesColor]],
  }];
}

function toon(a, index) {
  const [mouth, eyes] = TOON.mood[a.mood];
  const rear = TOON.rear[a.hair];
  const fronts = Object.values(TOON.front);
  return [toonHead, {
    hair: [rear ? fronts[index % fronts.length] : TOON.front[a.hair]],
    rearHair: [rear ?? 'longStraight'], rearHairProbability: rear ? 100 : 0,
    hairColor: colourOfHair(a, index), skinColor: [SKIN[a.skin]],
    beard: [TOON.beard[a.beard ?? 'a beard']], beardProbability: a.beard ? 100 : 0,
    mouth: [mouth], eyes: [eyes], eyebrows: [TOON.brows[a.mood] ?? 'neutral'],
    clothes: [TOON.clothes[a.clothes]], clothesColor: [CLOTHES[a.clothesColor]],
  }];
}

function simple(a, index) {
  const [mouth, eyes] = SIMPLE.mood[a.mood];
  return [personas, {
    hair: [a.hat ? SIMPLE.hat[a.hat] : SIMPLE.hair[a.hair]],
    hairColor: colourOfHair(a, index), skinColor: [SKIN[a.skin]],
    facialHair: [SIMPLE.beard[a.beard ?? 'a beard']], facialHairProbability: a.beard ? 100 : 0,
    mouth: [mouth], eyes: [a.wears ? SIMPLE.wears[a.wears] : eyes],
    body: [SIMPLE.clothes[a.clothes]], clothingColor: [CLOTHES[a.clothesColor]],
  }];
}

const [, , source, out] = process.argv;
const file = fs.openSync(out, 'w');
fs.readFileSync(source, 'utf8').split('\n').filter(Boolean).forEach((line, index) => {
  const a = JSON.parse(line);
  const [design, options] = { flat, toon, simple }[a.style](a, index);
  const svg = createAvatar(design, { seed: `portrait ${index}`, size: SIDE, backgroundColor: ['transparent'], ...options });
  const { pixels } = new Resvg(svg.toString(), {
    fitTo: { mode: 'width', value: SIDE }, background: `#${BACKGROUND[a.background]}`, font: { loadSystemFonts: false },
  }).render();
  const rgb = Buffer.alloc(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) pixels.copy(rgb, 3 * i, 4 * i, 4 * i + 3);
  fs.writeSync(file, rgb);
});
