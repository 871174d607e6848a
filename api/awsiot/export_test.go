package awsiot

// Implemented returns the names of the operations that Muster has.
func Implemented() (names []string) {
	for _, o := range operations() {
		names = append(names, o.name)
	}
	return names
}

// Entry is a line of the table of operations.
type Entry struct{ Name, Method string }

// Table returns the operations that Muster has.
func Table() []Entry {
	return each(operations(), func(o operation) Entry { return Entry{o.name, o.method} })
}

// ChangesNothing reports whether a read-only key may call an operation.
func ChangesNothing(operation string) bool { return changesNothing(operation) }

// Refused returns the operations that it has not, with what they answer.
func Refused() map[string]string {
	answers := make(map[string]string)
	for _, r := range refusals() {
		answers[r.name] = r.fault().code
		if r.instead() == "" {
			answers[r.name] = "" // nobody would know what to do
		}
	}
	return answers
}

// Instead returns what is said to whoever calls an operation that is refused.
func Instead(name string) string { return refusal{name: name}.instead() }
