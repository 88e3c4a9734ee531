import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type OpenAI from 'openai';

/** One paragraph per article of a folder, with the target that wrote it. */
export async function newsletter(openai: OpenAI, folder: string): Promise<string> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.txt')).toSorted();
  const summaries = await Promise.all(files.map(async (file) => summarize(openai, await readFile(join(folder, file), 'utf8'))));
  return summaries.map((summary, i) => `## ${files[i]}\n\n${summary}\n`).join('\n');
}

async function summarize(openai: OpenAI, article: string): Promise<string> {
  const content = `Summarize this article in one paragraph:\n\n${article}`;
  const pending = openai.chat.completions.create({ model: 'summary', max_tokens: 300, messages: [{ role: 'user', content }] });
  const { data, response } = await pending.withResponse();
  return `${data.choices[0]?.message.content?.trim()}\n\n(by ${response.headers.get('x-breakwater-target')})`;
}
