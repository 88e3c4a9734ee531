/** The newsletter with Breakwater in this process, without a port or service. */
import { join } from 'node:path';
import OpenAI from 'openai';
import { createBreakwater } from '../../src/index.ts'; // 'breakwater' if it is installed
import { newsletter } from './newsletter.ts';

const { FIRST_URL = 'http://127.0.0.1:9001/v1', FIRST_KEY = 'unused' } = process.env;
const { SECOND_URL = 'http://127.0.0.1:9002/v1', SECOND_KEY = 'unused' } = process.env;

const breakwater = await createBreakwater({
  providers: {
    first: { protocol: 'openai', baseUrl: FIRST_URL, apiKey: FIRST_KEY },
    second: { protocol: 'openai', baseUrl: SECOND_URL, apiKey: SECOND_KEY },
  },
  models: {
    summary: {
      // Tiers, best first: the last one, on this machine, is used when neither provider can respond in time.
      targets: ['first/small', 'second/small', 'local/extract'],
      quality: { minLength: 80, rejectTruncated: true, rejectRefusal: true },
    },
  },
});
const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', fetch: breakwater.fetch });
console.log(await newsletter(openai, process.argv[2] ?? join(import.meta.dirname, 'articles')));
await breakwater.close();
