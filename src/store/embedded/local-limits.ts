/** How long a server of this process's own may take to take a connection, and to answer; of `pg`, in ms. */
export const LOCAL_LIMITS = { connectionTimeoutMillis: 10_000, query_timeout: 30_000 } as const;
