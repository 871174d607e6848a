package awsiot

func authorizationOperations() []operation { return nil }
