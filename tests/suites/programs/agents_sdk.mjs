// OpenAI's Agents SDK: tools, handoffs, streams, sessions, structured outputs, over responses and chat.
import assert from 'node:assert/strict';
import { Agent, MemorySession, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents';
import { OpenAI } from 'openai';
import { z } from 'zod';
import { BASE, CALL, PROMPT, isGone, run } from './cases.mjs';

setTracingDisabled(true);
const TURN = `${PROMPT}\ncall weather ${JSON.stringify(CALL)} & call clock {}`;
const SAID = `done: ${CALL.city} in ${CALL.days} | noon`;
const weather = tool({ name: 'weather', description: 'w', execute: (c) => `${c.city} in ${c.days}`,
  parameters: z.object({ city: z.string(), days: z.number() }) });
const clock = tool({ name: 'clock', description: 't', parameters: z.object({}), execute: () => 'noon' });

const cases = {};
for (const kind of ['chat', 'responses']) {
  const openAIClient = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'sk-test', maxRetries: 0 });
  const runner = new Runner({
    modelProvider: new OpenAIProvider({ openAIClient, useResponses: kind === 'responses' }) });
  const agent = (model = 'agent', more = {}) =>
    new Agent({ name: 'one', instructions: 'be brief', model, tools: [weather, clock], ...more });
  const follow = async (stream) => {
    for await (const _ of stream);
    await stream.completed;
    return stream;
  };
  cases[`${kind}: tools, side by side`] = async () =>
    assert.equal((await runner.run(agent(), TURN)).finalOutput, SAID);
  cases[`${kind}: tools in a stream`] = async () =>
    assert.equal((await follow(await runner.run(agent(), TURN, { stream: true }))).finalOutput, SAID);
  cases[`${kind}: a handoff`] = async () => {
    const two = new Agent({ name: 'two', model: 'agent', tools: [clock] });
    const r = await runner.run(agent('agent', { handoffs: [two] }),
      `${PROMPT}\ncall transfer_to_two {}\ncall clock {}`);
    assert.equal(r.finalOutput, 'done: noon');
    assert.equal(r.lastAgent.name, 'two');
  };
  cases[`${kind}: structured outputs`] = async () => {
    const outputType = z.object({ city: z.string(), days: z.number() });
    const r = await runner.run(agent('json', { tools: [], outputType }), PROMPT);
    assert.deepEqual(r.finalOutput, CALL);
  };
  cases[`${kind}: a session`] = async () => {
    const session = new MemorySession();
    for (let i = 0; i < 2; i++)
      assert.equal((await runner.run(agent(), TURN, { session })).finalOutput, SAID);
  };
  cases[`${kind}: errors`] = async () => {
    for (const status of [400, 401, 403, 404, 422, 429, 500, 503])
      await assert.rejects(runner.run(agent(`err-${status}`), PROMPT), (e) => e.status === status,
        String(status));
  };
  cases[`${kind}: a stream that breaks throws`] = async () => {
    for (const name of ['cut-4', 'early-4', 'error-event'])
      await assert.rejects(async () => follow(await runner.run(agent(name), PROMPT, { stream: true })),
        undefined, name);
  };
  cases[`${kind}: aborting frees the engine`] = async () => {
    const name = `endless-agents-${kind}-${process.pid}`;
    const control = new AbortController();
    const stream = await runner.run(agent(name), PROMPT, { stream: true, signal: control.signal });
    let n = 0;
    try {
      for await (const _ of stream) if (++n === 5) control.abort();
      await stream.completed;
    } catch (why) {
      assert.match(String(why), /abort/i);
    }
    await isGone(name);
  };
}
cases['responses: what came before is found by its id'] = async () => {
  const openAIClient = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: 'sk-test', maxRetries: 0 });
  const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient, useResponses: true }) });
  const one = new Agent({ name: 'one', model: 'agent', tools: [weather, clock] });
  const first = await runner.run(one, TURN);
  const second = await runner.run(one, 'call clock {}', { previousResponseId: first.lastResponseId });
  assert.equal(second.finalOutput, 'done: noon');
};
await run(cases);
