/**
 * The use case behind Breakwater: a newsletter's articles are summarized through the official SDK over two flaky
 * providers, simulated here so that it runs anywhere. A fails 20 % of calls with 429, 10 % with 503, and sometimes never
 * responds; B is slow. If A is silent, B is called in parallel after at most half a minute.
 *
 *   node examples/summaries.ts            40 articles, about half a minute
 *   node examples/summaries.ts 300        the whole newsletter, about two minutes
 */
import OpenAI from 'openai';
import { createBreakwater } from '../src/index.ts';
import { startStorm } from '../src/storm/index.ts';

const articles = Array.from({ length: Number(process.argv[2] ?? 40) }, (_, i) => `Article ${i}: the harbour of town ${i} was rebuilt.`);

const a = await startStorm({
  name: 'a',
  limits: { requestsPerMinute: 60 },
  timing: { plainMs: { min: 300, max: 1500 } },
  faults: [
    { kind: '429', probability: 0.2 },
    { kind: '503', probability: 0.1 },
    { kind: 'silence', probability: 0.02 },
  ],
});
const b = await startStorm({ name: 'b', limits: { requestsPerMinute: 60 }, timing: { plainMs: { min: 1500, max: 4000 } } });

const breakwater = await createBreakwater({
  providers: {
    a: { protocol: 'openai', baseUrl: a.url, apiKey: 'sk-a', limits: { requestsPerMinute: 60 } },
    b: { protocol: 'openai', baseUrl: b.url, apiKey: 'sk-b', limits: { requestsPerMinute: 60 } },
  },
  models: { summarize: ['a/storm-small', 'b/storm-small'] },
});
breakwater.on('finished', (event) => console.log(`${event.target} after ${event.attempts} call(s), ${Math.round(event.durationMs)} ms`));

const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', fetch: breakwater.fetch });
const summaries = await Promise.all(
  articles.map(async (article, i) => {
    const headers = { 'x-breakwater-priority': i < 10 ? 'high' : 'low' };
    const messages = [{ role: 'user' as const, content: `Summarize: ${article}` }];
    const response = await openai.chat.completions.create({ model: 'summarize', messages, max_tokens: 60 }, { headers });
    return response.choices[0]?.message.content;
  }),
);
console.log(`${summaries.filter(Boolean).length} of ${articles.length} articles summarized`);
console.log(`limit violations counted by the providers: ${a.stats().violations.total + b.stats().violations.total}`);

await breakwater.close();
await Promise.all([a.close(), b.close()]);
