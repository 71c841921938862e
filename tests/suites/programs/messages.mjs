// The SDK of the messages API, which passes through to engines that have it.
import assert from 'node:assert/strict';
import SDK from '@anthropic-ai/sdk';
import { BASE, PROMPT, run } from './cases.mjs';

const client = new SDK({ baseURL: BASE, apiKey: 'sk-test', maxRetries: 0 });
const ask = (model, more = {}) => client.messages.create({ model, max_tokens: 99,
  messages: [{ role: 'user', content: PROMPT }], ...more });

await run({
  'an answer': async () => {
    const r = await ask('claude');
    assert.equal(r.content[0].text, 'Hello ü🙂');
    assert.equal(r.stop_reason, 'end_turn');
  },
  'a stream': async () => {
    let text = '';
    for await (const e of await ask('claude', { stream: true }))
      if (e.type === 'content_block_delta') text += e.delta.text;
    assert.equal(text, 'Hello ü🙂');
  },
  'its helper': async () => {
    const stream = client.messages.stream({ model: 'claude', max_tokens: 99,
      messages: [{ role: 'user', content: PROMPT }] });
    const r = await stream.finalMessage();
    assert.equal(r.content[0].text, 'Hello ü🙂');
    assert.equal(r.usage.output_tokens, 3);
  },
  errors: async () => {
    await assert.rejects(ask('err-529'), (e) => e.status === 529 && /later/.test(e.message));
  },
  'a stream that breaks throws': async () => {
    for (const name of ['cut', 'early'])
      await assert.rejects(client.messages.stream({ model: name, max_tokens: 99,
        messages: [{ role: 'user', content: PROMPT }] }).finalMessage(), undefined, name);
  },
});
