/** What the id of a call begins with to which Gemini gave none: calls and results are then matched by name and position. */
export const PLACE_ID = 'gemini_call_';
