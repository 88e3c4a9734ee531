/** The text of a user turn that is inserted where an API requires one, for example before an initial assistant turn. */
export const OPENING_TEXT = 'Continue.';
