package awsiot

func issuingOperations() []operation { return nil }
