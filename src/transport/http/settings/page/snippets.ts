/** The languages of the quick start, in the order of their tabs. */
export const LANGUAGES = ['TypeScript', 'Python', 'curl'] as const;

/** A language of the quick start. */
export type Language = (typeof LANGUAGES)[number];

/** What a snippet is made of. It never holds the raw key: snippets end up in repositories and chats. */
export interface SnippetParts {
  readonly keyName: string;
  /** The workflow the key is scoped to, or `null`. */
  readonly workflowId: string | null;
  /** Address to call; `{workflow_id}` stands for the workflow. */
  readonly exampleUrl: string;
}

/**
 * The environment variable that a snippet reads: the key's name in capitals, e.g. `MY_DASHBOARD_APP_API_KEY`.
 *
 * Always a valid name in every shell: letters, digits and underscores, not beginning with a digit.
 */
export function variableName(keyName: string): string {
  const stem = keyName
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .slice(0, 40)
    .replace(/^[_0-9]+|_+$/g, '')
    .replace(/(?:_?API)?_?KEY$/, '');
  return stem === '' ? 'API_KEY' : `${stem}_API_KEY`;
}

/** A short program that makes one call with the key. The key's name stands in a comment, on one line. */
export function snippet(language: Language, parts: SnippetParts): string {
  const variable = variableName(parts.keyName);
  const title = parts.keyName.replace(/\s+/g, ' ');
  const url = parts.exampleUrl.replaceAll('{workflow_id}', inQuotes(parts.workflowId ?? 'YOUR_WORKFLOW_ID'));
  switch (language) {
    case 'TypeScript':
      return `// ${title}
const response = await fetch('${url}', {
  headers: { Authorization: \`Bearer \${process.env.${variable}}\` },
});
if (!response.ok) throw new Error(\`refused: \${response.status}\`);
console.log(await response.json());`;
    case 'Python':
      return `# ${title}
import json, os, urllib.request

request = urllib.request.Request(
    "${url}",
    headers={"Authorization": f"Bearer {os.environ['${variable}']}"},
)
with urllib.request.urlopen(request, timeout=10) as response:
    print(json.load(response))`;
    case 'curl':
      return `# ${title}: paste the key when asked, so that it stays out of the shell's history.
read -rs ${variable}
curl --fail-with-body "${url}" \\
  -H "Authorization: Bearer $${variable}"`;
    default:
      return language satisfies never;
  }
}

/** Encodes an id for a URL inside quotes of any of the languages: also what `encodeURIComponent` leaves alone. */
function inQuotes(id: string): string {
  return encodeURIComponent(id).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
