// What the JavaScript programs here share. They are copied beside a node_modules folder and run there:
// node NAME.mjs GATEWAY ENGINE. Each prints ok or FAIL per case, and "end".
import assert from 'node:assert/strict';

export const [BASE, ENGINE] = process.argv.slice(2);
export const TEXT = ['Hello', ' from', ' the', ' engine', ',', ' ', 'quetzal-answer-canary-5d1f', ' ü',
  '🙂', '.'].join('');
export const PROMPT = 'marmoset-prompt-canary-77c2';
export const CALL = { city: 'Zürich', days: 3 };
export const SCHEMA = { type: 'object', additionalProperties: false, required: ['city', 'days'],
  properties: { city: { type: 'string' }, days: { type: 'integer' } } };

const calls = async (name) => (await fetch(`${ENGINE}/_calls/${encodeURIComponent(name)}`)).json();
export const asked = async (name) => (await calls(name)).length;

export const isGone = async (name) => {
  const until = Date.now() + 5000;
  for (;;) {
    const all = await calls(name);
    if (all.length && all.every((c) => c.gone)) return;
    assert(Date.now() < until, `the engine was not told: ${JSON.stringify(all)}`);
    await new Promise((r) => setTimeout(r, 50));
  }
};

export const run = async (cases) => {
  for (const [name, fn] of Object.entries(cases)) {
    try {
      await fn();
      console.log(`ok ${name}`);
    } catch (why) {
      console.log(`FAIL ${name}: ${String(why?.stack ?? why).slice(0, 1500).replaceAll('\n', ' | ')}`);
    }
  }
  console.log('end');
  process.exit(0);
};
