/** The words of comments and messages: terms of the field, no personification, no translated idioms. */
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

test('the docs use the terms of the field', () => {
  const offenders = listFiles(['docs'], /\.md$/)
    .map(readSource)
    .flatMap(({ path, text }) => {
      // Not checked: code, quotations, and the verdict table (failures-doc.test.ts).
      const prose = text.replaceAll(
        /```[\s\S]*?```|`[^`\n]*`|"[^"]{0,80}"|^\|.*`(?:retry|switch|reject)` \|.*$|^\| what comes .*$/gm,
        (code) => code.replaceAll(/[^\n]/g, ' '),
      );
      return [...prose.matchAll(banned)].map((word) => `${path}:${prose.slice(0, word.index).split('\n').length} ${word[0]}`);
    });
  assert.equal(offenders.length, 0, `say it in the words of the field:\n  ${offenders.join('\n  ')}`);
});
