/** docs/agents.md: its settings reach a path that is served, its configs are valid, its tables say what the code does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig, type ConfigInput } from '../src/gateway/config/index.ts';
import { policySettings } from '../src/gateway/config/policy-schema.ts';
import { routes } from '../src/server/routes.ts';
import { createRouter } from '../src/server/router.ts';
import { AGENT_ROLES } from '../src/wire/agent-role.ts';
import { CLIENT_PROGRAMS, DO_NOT_RETRY, programOf, retrySignals, type ClientProgram } from '../src/wire/clients.ts';

const page = readFileSync(new URL('../docs/agents.md', import.meta.url), 'utf8');

/** The text under a heading, up to the next one. */
function section(heading: string): string {
  const start = page.indexOf(`\n## ${heading}\n`);
  assert.ok(start >= 0, heading);
  const end = page.indexOf('\n## ', start + 1);
  return page.slice(start, end < 0 ? page.length : end);
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/```(\w+)\n([^]*?)```/g)].filter(([, named]) => named === language).map(([, , code]) => code!);
}

function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| program') && !line.startsWith('| part'))
    .map((line) => line.slice(2, -2).split(' | '));
}

test('its configs are valid', () => {
  const configs = blocks(page, 'yaml');
  assert.ok(configs.length >= 2);
  for (const text of configs) {
    const filled = text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
    const parsed = parseConfig(parse(filled) as ConfigInput, { source: 'library' });
    assert.deepEqual(parsed.ok ? [] : parsed.faults, []);
  }
});

/** Where each program sends its requests, below the base URL of its section. */
const CALLS: readonly (readonly [string, RegExp, string])[] = [
  ['Claude Code', /ANTHROPIC_BASE_URL=(\S+)/, '/v1/messages?beta=true'],
  ['Codex', /base_url = "([^"]+)"/, '/responses'],
  ['opencode', /"baseURL": "([^"]+)"/, '/chat/completions'],
  ['Gemini CLI', /GOOGLE_GEMINI_BASE_URL=(\S+)/, '/v1beta/models/gemini-3.8-flash:streamGenerateContent'],
  ['Cline', /Base URL \| `([^`]+)`/, '/chat/completions'],
  ['Cline', /custom base URL of `([^`]+)`/, '/v1/messages'],
];

test('its base URLs lead to a path that is served', () => {
  const router = createRouter(routes);
  for (const [program, setting, path] of CALLS) {
    const text = section(program);
    const base = new URL(setting.exec(text)?.[1] ?? assert.fail(`${program}: no base URL`));
    assert.equal(base.host, '127.0.0.1:4747');
    const { routes: found } = router.match(base.pathname.replace(/\/$/, '') + path);
    assert.ok(found?.some(({ method }) => method === 'POST') ?? false, program);
  }
  const [opencode] = blocks(section('opencode'), 'json');
  assert.ok(JSON.parse(opencode!));
});

test('its table of errors says what each program gets', () => {
  const [other, ...named] = rows(section('How errors are written for each program'));
  assert.deepEqual(
    named.map(([program]) => program),
    [...CLIENT_PROGRAMS],
  );
  for (const [program = '', knownBy = '', ...cells] of [other!, ...named]) {
    const known = program === 'any other' ? null : (program as ClientProgram);
    if (known !== null) assert.equal(programOf({ header: () => knownBy.replaceAll('`', '') }), known);
    const said = [
      retrySignals(known, 503, { isRetryable: true, waitMs: 3000 }),
      ...[503, 429, 404].map((status) => retrySignals(known, status, DO_NOT_RETRY)),
    ].map(({ status, headers }) => (headers.includes('retry-after') ? `${status}, retry-after` : String(status)));
    assert.deepEqual(cells, said, program);
  }
});

test('its table of priorities is the default of policy.agents', () => {
  const said = rows(section('Priority of the parts of a run')).map(([part, priority]) => [part, priority]);
  assert.deepEqual(
    said,
    AGENT_ROLES.map((role) => [`\`${role}\``, `\`${policySettings.defaults.agents[role]}\``]),
  );
});
