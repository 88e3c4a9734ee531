/** Names in README, docs and examples exist: config keys, headers, metrics, error codes, and the options of commands. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../src/cli/program.ts';
import { NAMES } from '../src/telemetry/otlp/names.ts';
import { listFiles, readSource, root } from './tidy/scan.ts';

const pages = ['README.md', ...listFiles(['docs', 'examples'], /\.md$/)]
  .filter((path) => !path.startsWith('docs/decisions/'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

/** `page: name` for every match of the first group. */
function namesIn(pattern: RegExp): { page: string; name: string }[] {
  return pages.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([, name]) => ({ page: path, name: name! })));
}

function missing(names: readonly { page: string; name: string }[], isKnown: (name: string) => boolean): string[] {
  return [...new Set(names.filter(({ name }) => !isKnown(name)).map(({ page, name }) => `${page}: ${name}`))];
}

const configPage = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
const keys = new Set([...configPage.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!));
const blocks = 'timeouts|retry|breaker|hedge|queue|stream|quality|cache|agents';

test('every config key that the docs name exists', () => {
  const named = namesIn(
    new RegExp(`\`((?:server|policy|providers|models|clients(?:\\[\\])?|batch|telemetry|${blocks})\\.[A-Za-z.[\\]]+)(?::[^\`]*)?\``, 'g'),
  );
  assert.ok(named.length > 100);
  const place = (name: string): string =>
    name
      .replaceAll('[]', '')
      .replace(/^(providers|models)\.\w+/, '$1.NAME')
      .replace(/^providers\.NAME\.models\.\w+/, 'providers.NAME.models.NAME')
      .replace(new RegExp(`^(?:providers\\.NAME\\.|models\\.NAME\\.)?(?:policy\\.)?(${blocks})(?=\\.|$)`), 'policy.$1');
  assert.deepEqual(
    missing(named, (name) => keys.has(place(name)) || /\.(?:md|ts|json|yaml|jsonl)$/.test(name)),
    [],
  );
});

const code = listFiles(['src'], /(?<!\.test)\.ts$/)
  .map((path) => readSource(path).text)
  .join('\n');

/** The code has most names without the prefix, and some without the unit. */
function isMetric(name: string): boolean {
  const short = name.replace(/^breakwater_/, '').replace(/_(?:bucket|sum|count)$/, '');
  return [name, `'${short}'`, `'${short.replace(/_seconds$/, '')}'`].some((form) => code.includes(form));
}

test('every header and metric of Breakwater that the docs name exists', () => {
  assert.deepEqual(
    missing(namesIn(/`(x-breakwater-[a-z-]*[a-z])\b/g), (name) => code.includes(name)),
    [],
  );
  const metrics = namesIn(/\b(breakwater_[a-z_]*[a-z])\b(?!\*)/g);
  assert.ok(metrics.length > 30);
  assert.deepEqual(missing(metrics, isMetric), []);
});

test('every name in spans is documented, whole or from one of its dots on', () => {
  const page = readFileSync(join(root, 'docs/tracing.md'), 'utf8');
  const isDocumented = (name: string): boolean =>
    [name, ...[...name.matchAll(/\./g)].map(({ index }) => name.slice(index))].some((form) => page.includes(`\`${form}\``));
  assert.deepEqual(
    // Not `server.address` and `server.port`, which would pass for config keys.
    Object.values(NAMES).filter((name) => !name.startsWith('server.') && !isDocumented(name)),
    [],
  );
});

test('every option of a command that the docs name exists', () => {
  const help = new Map<string, string>();
  const add = (command: Command, name: string): void => {
    help.set(name, command.helpInformation());
    for (const inner of command.commands) add(inner, name === '' ? inner.name() : `${name} ${inner.name()}`);
  };
  add(createProgram(), '');
  const named = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<=^|`|npx )breakwater((?: [a-z]+)*)((?: [^`\n]*)?)/gm)].flatMap(([, words, rest]) => {
      const all = words!.trim().split(' ');
      const command = [all.slice(0, 2).join(' '), all[0]!, 'serve'].find((name) => help.has(name) && name !== '')!;
      return [...rest!.replace(/\s#.*$/, '').matchAll(/(?<=\s)(--[a-z-]+)/g)].map(([, flag]) => ({
        page: path,
        name: `${command} ${flag}`,
      }));
    }),
  );
  assert.ok(named.length > 10);
  const isKnown = (name: string): boolean => {
    const [, command, flag] = /^(.*) (--\S+)$/.exec(name)!;
    return ['--help', '--version'].includes(flag!) || help.get(command!)!.includes(flag!);
  };
  assert.deepEqual(missing(named, isKnown), []);
});
