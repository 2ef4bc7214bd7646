// Package cell runs a command in a network namespace of its own, for somebody
// who asks over a unix socket.
//
// A Cell is the namespace: a thread that lives in it, what that thread puts into
// it, and the processes in it, all of which end with it. Stage is what the
// command's process does before it becomes the command: it takes over what its
// asker is (user, groups, limits, namespaces, working directory), gives the rest
// away and becomes the command, so that nobody gets more by it than by starting
// the command himself. What an asker sends is read there, in a process that ends,
// and not in the daemon.
//
// The package knows nothing of domains, flows or devices.
package cell
