end_of_search
