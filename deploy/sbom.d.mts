/** A package of the bill of materials. */
export interface Component {
  readonly name: string;
  readonly version: string;
  readonly licenses?: readonly {
    readonly license?: { readonly id?: string; readonly name?: string };
    readonly expression?: string;
  }[];
}

export function billOfMaterials(): { readonly components: readonly Component[] };
