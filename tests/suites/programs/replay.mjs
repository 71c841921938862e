// Asks what openai-python's generated tests asked, with the openai npm package, of the mock and of the
// gateway before it: node replay.mjs PACKAGE-FOLDER GATEWAY MOCK CASES.json. Both answers must be the
// same; the mock refuses a request that does not fit its description.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, GATEWAY, MOCK, cases] = process.argv.slice(2);
const require = createRequire(path.join(folder, 'package.json'));
const { OpenAI, toFile } = require('openai');
const client = (base) => new OpenAI({ baseURL: `${base}/v1`, apiKey: 'My API Key', maxRetries: 0 });

// method and path -> the package's method for it; `b` is the body or the query, `i` the id
const METHODS = {
  'POST /chat/completions': (c, b) => c.chat.completions.create(b),
  'GET /chat/completions': (c, b) => c.chat.completions.list?.(b),
  'GET /chat/completions/ID': (c, b, i) => c.chat.completions.retrieve?.(i),
  'POST /chat/completions/ID': (c, b, i) => c.chat.completions.update?.(i, b),
  'DELETE /chat/completions/ID': (c, b, i) => (c.chat.completions.delete ?? c.chat.completions.del)
    ?.call(c.chat.completions, i),
  'GET /chat/completions/ID/messages': (c, b, i) => c.chat.completions.messages?.list(i, b),
  'POST /completions': (c, b) => c.completions.create(b),
  'POST /embeddings': (c, b) => c.embeddings.create({ encoding_format: 'float', ...b }),
  'GET /models': (c) => c.models.list(),
  'GET /models/ID': (c, b, i) => c.models.retrieve(i),
  'DELETE /models/ID': (c, b, i) => (c.models.delete ?? c.models.del).call(c.models, i),
  'POST /moderations': (c, b) => c.moderations.create(b),
  'POST /images/generations': (c, b) => c.images.generate(b),
  'POST /images/edits': (c, b) => c.images.edit(b),
  'POST /images/variations': (c, b) => c.images.createVariation(b),
  'POST /audio/speech': (c, b) => c.audio.speech.create(b),
  'POST /audio/transcriptions': (c, b) => c.audio.transcriptions.create(b),
  'POST /audio/translations': (c, b) => c.audio.translations.create(b),
  'POST /responses': (c, b) => c.responses.create(b),
  'GET /responses/ID': (c, b, i) => c.responses.retrieve(i, b),
  'DELETE /responses/ID': (c, b, i) => (c.responses.delete ?? c.responses.del).call(c.responses, i),
  'POST /responses/ID/cancel': (c, b, i) => c.responses.cancel?.(i),
  'GET /responses/ID/input_items': (c, b, i) => c.responses.inputItems.list(i, b),
  'POST /responses/input_tokens': (c, b) => c.responses.inputTokens?.count(b),
  'POST /responses/compact': (c, b) => c.responses.compact?.(b),
};

const filled = async (body, files) => {
  const whole = { ...body };
  for (const [name, content] of Object.entries(files)) {
    const all = await Promise.all(content.map((b) => toFile(Buffer.from(b, 'base64'), 'file')));
    whole[name] = all.length === 1 ? all[0] : all;
  }
  return whole;
};

const plain = async (answer) => {
  if (answer?.arrayBuffer) return Buffer.from(await answer.arrayBuffer()).toString('base64');
  if (answer?.[Symbol.asyncIterator] && !answer.data) return 'a stream';
  return JSON.parse(JSON.stringify(answer?.data?.constructor === Array && answer.body
    ? answer.body : answer ?? null));
};

const ask = async (base, one) => {
  const answer = METHODS[one.what](client(base), await filled(one.body, one.files), one.id);
  return answer === undefined ? undefined : plain(await answer);
};

for (const one of JSON.parse(readFileSync(cases))) {
  try {
    assert(METHODS[one.what], `nobody knows ${one.what}`);
    const direct = await ask(MOCK, one);
    if (direct === undefined) {
      console.log(`SKIPPED ${one.what}: this version has no method for it`);
      continue;
    }
    assert.deepEqual(await ask(GATEWAY, one), direct);
    console.log(`ok ${one.what}, case ${one.number}`);
  } catch (why) {
    console.log(`FAIL ${one.what}, case ${one.number}: ${String(why?.stack ?? why).slice(0, 1200)}`);
  }
}
console.log('end');
process.exit(0);
