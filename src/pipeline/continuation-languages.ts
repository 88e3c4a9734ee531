import type { LanguageScores } from '../policy/continuation/language.ts';

let loading: Promise<LanguageScores> | null = null;

/** The detector of languages, loaded when it is first needed: its tables take 0.2 s and some 87 MB. */
export function loadLanguageScores(): Promise<LanguageScores> {
  return (loading ??= import('eld/extrasmall').then(
    ({ eld }) =>
      (text) =>
        Object.entries(eld.detect(text).getScores()).toSorted((a, b) => b[1] - a[1]),
  ));
}
