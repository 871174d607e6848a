package awsiot

func transferOperations() []operation { return nil }
