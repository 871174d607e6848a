// Package sessions keeps MQTT sessions and retained messages beyond a restart and
// a kill of the server: what a PUBACK or PUBREC has promised is in the store
// before it is sent.
//
// A Store is one badger database for all accounts. For each account, Store.Hook
// makes a hook of its mochi server, beside the one that authenticates: it puts
// back what was stored before the server accepts, follows what happens to the
// sessions that outlive their connection, and sends the acknowledgements itself.
//
// Every change goes through the journal, where one goroutine writes what has
// gathered meanwhile in one transaction. A transaction is in the kernel's hands
// when it is committed, and so survives the process; it reaches the disk within a
// second.
package sessions
