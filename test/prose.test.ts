/** The words of comments, messages and docs: terms of the field, no personification, no translated idioms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listFiles, readSource } from './tidy/scan.ts';

/** Grows as folders are rewritten. */
const rewritten = [
  /^src\/(?:core|endpoint|gateway|pipeline|policy|server|transport|wire)\//,
  /^src\/(?:local|store|telemetry|cluster)\//,
  // The text that Storm generates is content.
  /^src\/storm\/(?!content\.ts|continuation-prose)/,
  /^src\/cli\//,
  /^src\/testing\//,
  /^src\/jobs\//,
];

/** Tests whose strings are samples of natural language. */
const samples = /^src\/policy\/(?:continuation\/splice|quality\/refusal|quality\/repetition)\.test\.ts$/;

const banned =
  /(?<!`)\b(?:nobody|somebody|anybody|everybody|whoever|told|tells?|hears?|heard|knows|wants|ours|at hand|(?:go(?:es)?|gone|went) (?:out|down)|lets? go|let go of|outrun|benched|thoughts|mend(?:s|ed)?|for ever|passed over|under way|reckon(?:s|ed)?|poor(?:er)?|looks? at|looked at|gives? way|gave way|plain (?:one|answer|response|request)s?|an? (?:whole )?answers?|kept answers?|pieces? of content|question of our own|who waits|those who|is no JSON|makes no sense|all the same|left unheard|behind us|of late|lately|as ever|in vain|made anew|of ours|matter alone|as told|holds? (?:nobody|nothing) up)\b/gi;

/** Comments, string literals, and regular expressions, which may hold quotes. Of literals only strings of more than one word count. */
const parts =
  /\/\*[\s\S]*?\*\/|(?<![:'"`\w])\/\/.*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|(?<=[=(,:!&|?]\s?)\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//g;
const isProse = (part: string): boolean => part.includes(' ') && /^(?:\/[/*]|['"`])/.test(part);

test('comments and messages use the terms of the field', () => {
  const offenders = listFiles(['src'], /\.ts$/)
    .filter((path) => rewritten.some((folder) => folder.test(path)) && !samples.test(path))
    .map(readSource)
    .flatMap(({ path, text }) =>
      [...text.matchAll(parts)]
        .filter(([part]) => isProse(part))
        .flatMap((part) =>
          [...part[0].matchAll(banned)].map((word) => `${path}:${text.slice(0, part.index + word.index).split('\n').length} ${word[0]}`),
        ),
    );
  assert.equal(offenders.length, 0, `say it in the words of the field:\n  ${offenders.join('\n  ')}`);
});

/** Not checked: code, quotations, and the verdict table (failures-doc.test.ts). */
const proseOf = (text: string): string =>
  text.replaceAll(/```[\s\S]*?```|`[^`\n]*`|"[^"]{0,80}"|^\|.*`(?:retry|switch|reject)` \|.*$|^\| what comes .*$/gm, (code) =>
    code.replaceAll(/[^\n]/g, ' '),
  );

const pages = ['README.md', ...listFiles(['docs', 'examples'], /\.md$/)]
  .map(readSource)
  .map(({ path, text }) => ({ path, prose: proseOf(text) }));

function offencesIn(pattern: RegExp): string[] {
  return pages.flatMap(({ path, prose }) =>
    [...prose.matchAll(pattern)].map((word) => `${path}:${prose.slice(0, word.index).split('\n').length} ${word[0]}`),
  );
}

test('README, docs and examples use the terms of the field', () => {
  const offenders = offencesIn(banned);
  assert.equal(offenders.length, 0, `say it in the words of the field:\n  ${offenders.join('\n  ')}`);
});

/** Other words for what the glossary of docs/README.md names. */
const synonyms: Readonly<Record<string, RegExp>> = {
  provider: /\bback-?ends?\b/gi,
  target: /\b(?:deployments?|endpoints?) (?:pool|group)s?\b/gi,
  attempt: /\btr(?:y|ies) at (?:a|the) target\b/gi,
  timeout: /\btime-outs?\b/gi,
  breaker: /\bfuses?\b/gi,
  quarantine: /\bbench(?:es|ed|ing)?\b/gi,
  cooldown: /\bcool-downs?\b|\bcooling(?:-| )off\b/gi,
  client: /\b(?:tenants(?! ID)|consumers?)\b/gi,
  verdict: /\bjudg(?:e)?ments?\b/gi,
  timeline: /\btime ?lines\b(?<!timelines)/gi,
};

test('README, docs and examples use the words of the glossary, which has each once', () => {
  const glossary = readSource('docs/README.md').text.split('\n## Glossary\n')[1] ?? '';
  const words = [...glossary.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell]) => cell!.split(', ')).slice(1);
  assert.deepEqual(
    words.filter((word, at) => words.indexOf(word) !== at),
    [],
  );
  for (const [word, others] of Object.entries(synonyms)) {
    assert.ok(words.includes(word), `the glossary has no ${word}`);
    assert.deepEqual(offencesIn(others), [], `say ${word}`);
  }
});
