/** The newsletter through a separate Breakwater process with the config in this folder; see README.md. */
import { join } from 'node:path';
import OpenAI from 'openai';
import { newsletter } from './newsletter.ts';

const openai = new OpenAI({ baseURL: process.env['BREAKWATER_URL'] ?? 'http://127.0.0.1:4747/v1', apiKey: 'unused' });
console.log(await newsletter(openai, process.argv[2] ?? join(import.meta.dirname, 'articles')));
