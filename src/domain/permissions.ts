/** The names of the permissions a key can hold, in the order in which they are stored and shown. */
export const PERMISSION_NAMES = ['read', 'execute', 'write'] as const;

/** The name of one permission. */
export type PermissionName = (typeof PERMISSION_NAMES)[number];

/** One permission as a bit of a {@link PermissionSet}. */
export const Permission = { READ: 1, EXECUTE: 2, WRITE: 4 } as const;

/** One permission bit. */
export type PermissionBit = (typeof Permission)[keyof typeof Permission];

/** A set of permissions as bits, 0 (none) to 7 (all): small in memory and tested with one `&`. */
export type PermissionSet = number;

const BIT_OF_NAME: Readonly<Record<PermissionName, PermissionBit>> = {
  read: Permission.READ,
  execute: Permission.EXECUTE,
  write: Permission.WRITE,
};

/** Every permission. */
export const ALL_PERMISSIONS: PermissionSet = Permission.READ | Permission.EXECUTE | Permission.WRITE;

/** Reports whether `name` is a permission. */
export function isPermissionName(name: string): name is PermissionName {
  return Object.hasOwn(BIT_OF_NAME, name);
}

/** The bit of a permission name. */
export function permissionBit(name: PermissionName): PermissionBit {
  return BIT_OF_NAME[name];
}

/** Collects names into a set. A name that is no permission adds nothing: an unknown permission denies. */
export function permissionSet(names: Iterable<string>): PermissionSet {
  let set = 0;
  for (const name of names) if (isPermissionName(name)) set |= BIT_OF_NAME[name];
  return set;
}

const NAMES_OF_SET: readonly (readonly PermissionName[])[] = Array.from({ length: ALL_PERMISSIONS + 1 }, (_, set) =>
  Object.freeze(PERMISSION_NAMES.filter((name) => (set & BIT_OF_NAME[name]) !== 0)),
);

/** The names in a set, in the order of {@link PERMISSION_NAMES}; a shared, frozen array. */
export function permissionNames(set: PermissionSet): readonly PermissionName[] {
  return NAMES_OF_SET[set & ALL_PERMISSIONS] as readonly PermissionName[];
}
