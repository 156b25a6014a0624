/** One instruction of a Dockerfile, with its continuation lines joined. */
export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

/** From one FROM to the next. */
export interface Stage {
  readonly name: string | null;
  readonly image: string;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile. Comments and empty lines count for nothing, also between continuation lines. */
export function stagesOf(dockerfile: string): Stage[] {
  const stages: { name: string | null; image: string; instructions: Instruction[] }[] = [];
  for (const { keyword, text } of instructionsOf(dockerfile)) {
    const from = keyword === 'FROM' ? /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(text) : null;
    if (from !== null) stages.push({ image: from[1] ?? '', name: from[2] ?? null, instructions: [] });
    else stages.at(-1)?.instructions.push({ keyword, text });
  }
  return stages;
}

function instructionsOf(dockerfile: string): Instruction[] {
  const lines = dockerfile.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
  return lines
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => {
      const [keyword = '', ...rest] = line.trim().split(/\s+/);
      return { keyword: keyword.toUpperCase(), text: rest.join(' ') };
    });
}

/** Values of instructions of one kind in a stage. */
export function textsOf(stage: Stage, keyword: string): string[] {
  return stage.instructions.filter((each) => each.keyword === keyword).map(({ text }) => text);
}
