import { loadOnce } from '../../../core/load-once.ts';
import type { LanguageScores } from '../../../policy/continuation/language.ts';

/** The language detector, loaded on first use: its tables take 0.2 s and about 87 MB. */
export const loadLanguageScores = loadOnce(async (): Promise<LanguageScores> => {
  const { eld } = await import('eld/extrasmall');
  return (text) => Object.entries(eld.detect(text).getScores()).toSorted((a, b) => b[1] - a[1]);
});
